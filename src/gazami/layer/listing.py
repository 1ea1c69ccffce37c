"""A program that lists a layer: compressed bytes on standard input, the headers of its members on standard output.

Reading an image's headers means inflating all of it. Python's threads cannot do that and parse headers on two processors at once,
processes can: several layers of an image are listed at the same time, each by one of these. Frames of ``marshal`` go to the
parent, which is the same Python: rows of members (:data:`Row`), and at last the diff id if it is wanted, or what went wrong.
Source of the bytes' meaning: OCI image spec, layer.md.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from gazami.ahead import Ahead
from gazami.errors import ArchiveError, HostError, RefusedArchive
from gazami.layer.compression import decompressed
from gazami.layer.entry import Entry, Kind
from gazami.layer.tar_reader import TarReader

if TYPE_CHECKING:
    from collections.abc import Callable

Row: TypeAlias = tuple[Any, ...]
"""The ten fields of an :class:`Entry`, and the bytes of a file whose bytes are wanted, else None."""

HASH, TRUST = "hash", "trust"
"""Whether the diff id is wanted."""

ROWS = 4096
"""Members in a frame, at most."""

FRAME = 1 << 20
"""Bytes of names, attributes and kept files after which a frame ends: a member may have megabytes of them."""

_LENGTH = 8
_CHUNK = 1 << 20
_PR_SET_DUMPABLE = 4
_ERRORS = {kind.__name__: kind for kind in (ArchiveError, RefusedArchive, HostError)}


def main() -> None:
    """``argv`` are :data:`HASH` or :data:`TRUST`, the most bytes that a wanted file may have, and the paths of wanted files."""
    _hide_this_process()
    try:
        hashes, most, wanted = sys.argv[1] == HASH, int(sys.argv[2]), frozenset(sys.argv[3:])
        for frame in _frames(hashes, lambda entry: entry.path in wanted and entry.kind is Kind.FILE and entry.size <= most):
            _write(frame)
    except ArchiveError as error:
        _write(("error", type(error).__name__, error.message, error.hint))
    except Exception as error:  # nobody reads what Python would write
        text = f"the process that lists a layer failed: {type(error).__name__}: {error}"
        _write(("error", HostError.__name__, text, None))


def read_frames(fd: int) -> Iterator[bytes]:
    """The frames that the program writes, still encoded. One that is cut off is left out."""
    while (head := _read(fd, _LENGTH)) is not None and (frame := _read(fd, int.from_bytes(head, "big"))) is not None:
        yield frame


def _read(fd: int, size: int) -> bytes | None:
    """So many bytes, None where they end before."""
    parts: list[bytes] = []
    while size:
        data = os.read(fd, min(size, _CHUNK))
        if not data:
            return None
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def members_of(frames: Iterator[bytes], ended: Callable[[str], None]) -> Iterator[tuple[Entry, bytes | None]]:
    """The members that frames list; ``ended`` gets the diff id, or nothing. Raises what the program raised, and EOFError where it
    did not come to an end."""
    for encoded in frames:
        frame = marshal.loads(encoded)
        match frame[0]:
            case "rows":
                for row in frame[1]:
                    yield _entry(row), row[10]
            case "end":
                ended(frame[1])
                return
            case _:
                _, kind, message, hint = frame
                raise _ERRORS[kind](message, hint=hint)
    raise EOFError


def _frames(hashes: bool, keeps_bytes: Callable[[Entry], bool]) -> Iterator[tuple[Any, ...]]:
    """Inflating goes on in a thread beside the hashing and the parsing."""
    ahead, found = Ahead(decompressed(_input())), hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for chunk in ahead.chunks():
            if hashes:
                found.update(chunk)
            yield chunk

    reader, rows, held = TarReader(hashed()), list[Row](), 0
    for entry in reader:
        data = b"".join(reader.content()) if keeps_bytes(entry) else None
        rows.append(
            (entry.path, int(entry.kind), entry.mode, entry.uid, entry.gid, entry.mtime, entry.size, entry.link, entry.device,
             entry.xattrs, data)
        )  # fmt: skip
        held += len(entry.path) + len(entry.link) + len(data or b"")
        if entry.xattrs:
            held += sum(len(name) + len(value) for name, value in entry.xattrs)
        if len(rows) == ROWS or held >= FRAME:
            yield "rows", rows
            rows, held = [], 0
    yield "rows", rows
    yield "end", "sha256:" + found.hexdigest() if hashes else ""


_KINDS = tuple(Kind)


def _entry(row: Row) -> Entry:
    path, kind, mode, uid, gid, mtime, size, link, device, xattrs, _ = row
    return Entry(path, _KINDS[kind], mode, uid, gid, mtime, size, link, device, xattrs)


def _hide_this_process() -> None:
    """Make it undumpable, as the builder is: a command of another stage that has the same uid cannot write into its memory
    (ptrace(2), "Ptrace access mode checking")."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _input() -> Iterator[bytes]:
    while data := os.read(0, _CHUNK):
        yield data


def _write(frame: tuple[Any, ...]) -> None:
    body = marshal.dumps(frame)
    view = memoryview(len(body).to_bytes(_LENGTH, "big") + body)
    while view:
        view = view[os.write(1, view) :]
