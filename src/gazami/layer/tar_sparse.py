"""Maps of sparse files: which runs of a file are stored, the rest being holes (GNU tar manual, Storing Sparse Files).

A map is bounded like Go's (1 MiB), and so are the holes that it makes. Standard library only: the fork server imports this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gazami.errors import ArchiveError
from gazami.layer.tar_fields import decimal, number

HOLE = bytes(1 << 20)
"""A piece of a hole. Who writes files compares with ``is`` and skips it, so that a hole costs next to nothing."""

MAX_MAP = 1 << 20
"""Bytes of a map, as in Go's archive/tar."""

MAX_HOLES = 1 << 44
"""Bytes of all holes of an archive: 16 TiB, the largest file of ext4."""

Segments = list[tuple[int, int]]
"""``(offset, length)`` of each stored run, in order."""


def gnu_segments(field: bytes) -> Segments:
    """The pairs of an old GNU header, or of a block that extends it."""
    found: Segments = []
    for at in range(0, len(field) - 23, 24):
        if not field[at]:
            break
        found.append((number(field[at : at + 12], "sparse map"), number(field[at + 12 : at + 24], "sparse map")))
    return found


def pax_version(records: Mapping[str, bytes]) -> int | None:
    """0 or 1 where PAX records describe a sparse file, None where they do not (by Go's rules)."""
    major, minor = records.get("GNU.sparse.major", b""), records.get("GNU.sparse.minor", b"")
    if major or minor:
        return {(b"0", b"0"): 0, (b"0", b"1"): 0, (b"1", b"0"): 1}.get((major, minor))
    return 0 if records.get("GNU.sparse.map") else None


def pax_segments(records: Mapping[str, bytes]) -> Segments:
    """The map of formats 0.0 and 0.1."""
    text = records.get("GNU.sparse.map", b"")
    if len(text) > MAX_MAP:
        raise ArchiveError(f"a sparse file's map of {len(text)} bytes is refused (limit {MAX_MAP})")
    return _pairs(text.split(b",") if text else ())


def read_map(blocks: Iterable[bytes]) -> Segments:
    """The map of format 1.0, decimal lines in the first blocks of the contents; takes no block more than it needs."""
    lines: list[bytes] = []
    rest, taken, wanted = b"", 0, None
    for block in blocks:
        taken += len(block)
        *whole, rest = (rest + block).split(b"\n")
        lines += whole
        if wanted is None and lines:
            wanted = 1 + 2 * decimal(lines[0], "sparse map")
        if wanted is not None and len(lines) >= wanted:
            return _pairs(lines[1:wanted])
        if taken >= MAX_MAP or len(rest) > 20:
            break
    raise ArchiveError("a sparse file's map is broken")


def _pairs(texts: Iterable[bytes]) -> Segments:
    numbers = [decimal(text, "sparse map") for text in texts]
    if len(numbers) % 2:
        raise ArchiveError("a sparse file's map is broken")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def check(segments: Segments, real: int, stored: int) -> None:
    """Raises :class:`ArchiveError` unless the runs are in order, lie in the file and are stored."""
    end = total = 0
    for offset, length in segments:
        if offset < end or length < 0 or offset + length > real:
            raise ArchiveError("a sparse file's map is broken")
        end = offset + length
        total += length
    if total > stored:
        raise ArchiveError("a sparse file's map is broken")
