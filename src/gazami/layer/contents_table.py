"""Tables of contents of layers: the headers of all members in a small part of the blob, so that the rest need not be read.

Two formats have one, as JSON of the same rows: eStargz, a gzip whose last 51 bytes say where the table is (stargz-snapshotter,
docs/estargz.md), and zstd:chunked, whose place is in annotations (containers/storage, docs/containers-storage-zstd-chunked.md). The
manifest of the image names the digest of the table as it names that of the layer, so whoever wrote the one chose the other.
"""

from __future__ import annotations

import binascii
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeAlias

from gazami.errors import ArchiveError, RegistryError, UsageError
from gazami.foreign import read_json
from gazami.image.digest import Digest, parse_digest
from gazami.image.manifest import Descriptor
from gazami.layer.compression import decompressed
from gazami.layer.entry import Entry, Kind, Xattrs, clean_path
from gazami.layer.tar_fields import MAX_PATH
from gazami.layer.tar_reader import TarReader
from gazami.values import fast_dataclass

ReadPart: TypeAlias = Callable[[int, int], bytes]
"""``(offset, length)`` → bytes of the blob."""

MAX_TABLE = 24 << 20
"""Bytes of JSON: some 90 000 files. Of a larger table, as of one that is broken, nothing is read."""

_ESTARGZ = "containerd.io/snapshot/stargz/toc.digest"
_CHUNKED = ("io.github.containers.zstd-chunked.", "io.containers.zstd-chunked.")
_FOOTER = 51
_TAIL = 256 * 1024
"""Bytes at the end of an eStargz that are asked for at once: most tables are smaller."""
_NAME = "stargz.index.json"
_LARGEST = 1 << 53

_KINDS = {
    "reg": Kind.FILE,
    "dir": Kind.DIRECTORY,
    "symlink": Kind.SYMLINK,
    "hardlink": Kind.HARDLINK,
    "char": Kind.CHARACTER,
    "block": Kind.BLOCK,
    "fifo": Kind.FIFO,
}


@fast_dataclass(frozen=True, slots=True)
class ContentsTable:
    """Where a layer's table is. ``digest`` is of the compressed bytes of a zstd:chunked table, which lies at ``start`` and has
    ``size`` bytes, and of the JSON of an eStargz one, which has neither."""

    digest: Digest
    start: int = 0
    size: int = 0

    @property
    def is_estargz(self) -> bool:
        return not self.size


def table_of(layer: Descriptor) -> ContentsTable | None:
    """What a manifest says of a layer's table, if it has one that is worth a request."""
    notes = dict(layer.annotations)
    with contextlib.suppress(UsageError):
        if (digest := notes.get(_ESTARGZ)) is not None:
            return ContentsTable(parse_digest(digest))
        for prefix in _CHUNKED:
            digest, place = notes.get(prefix + "manifest-checksum"), notes.get(prefix + "manifest-position", "")
            numbers = [int(each) for each in place.split(":") if each.isascii() and each.isdecimal() and len(each) < 16]
            if digest is not None and len(numbers) == 4 and numbers[3] == 1:
                start, size = numbers[0], numbers[1]
                if 0 < size <= MAX_TABLE and start + size <= layer.size:
                    return ContentsTable(parse_digest(digest), start, size)
    return None


def read_table(table: ContentsTable, layer: Descriptor, read: ReadPart) -> bytes:
    """The JSON of a table, which has the digest that the manifest promises. Raises :class:`ArchiveError`, and what ``read``
    raises."""
    if table.is_estargz:
        raw = _estargz(layer.size, read)
        _check(raw, table.digest)
        return raw
    packed = read(table.start, table.size)
    _check(packed, table.digest)
    return _bounded(decompressed(iter((packed,))))


def table_members(raw: bytes) -> Iterator[Entry]:
    """The members that a table lists, in their order. Raises :class:`ArchiveError` for anything but a table, and for one that does
    not say everything: a name that is no UTF-8 is not in it."""
    times: dict[str, int] = {}
    try:
        for row in read_json(raw)["entries"]:
            if row["type"] != "chunk":
                yield _entry(row, times)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as cause:
        raise ArchiveError(f"the layer's table of contents is damaged ({type(cause).__name__})") from cause


def _entry(row: dict[str, Any], times: dict[str, int]) -> Entry:
    kind = _KINDS[row["type"]]
    name, link = clean_path(_text(row, "name")), _text(row, "linkName")
    if kind is Kind.HARDLINK:
        link = clean_path(link)
    if kind is Kind.SYMLINK and not link:
        raise ValueError("linkName")
    written = row.get("modtime") or ""
    mtime = times.get(written)
    if mtime is None:
        mtime = times[written] = int(datetime.fromisoformat(written).timestamp() // 1) if written else 0
    mode, uid, gid, size = (_number(row, each) for each in ("mode", "uid", "gid", "size"))
    device = (_number(row, "devMajor"), _number(row, "devMinor")) if kind in (Kind.CHARACTER, Kind.BLOCK) else (0, 0)
    return Entry(
        name, kind, mode & 0o7777, uid, gid, mtime, size if kind is Kind.FILE else 0,
        link if kind in (Kind.SYMLINK, Kind.HARDLINK) else "", device, _xattrs(row.get("xattrs") or {}),
    )  # fmt: skip


def _text(row: dict[str, Any], name: str) -> str:
    """A path as a tar may have it."""
    value = row.get(name) or ""
    if not isinstance(value, str) or "\ufffd" in value or "\0" in value or len(value.encode()) > MAX_PATH:
        raise ValueError(name)
    return value


def _number(row: dict[str, Any], name: str) -> int:
    value = row.get(name) or 0
    if not isinstance(value, int) or not 0 <= value < _LARGEST:
        raise ValueError(name)
    return value


def _xattrs(found: dict[str, str]) -> Xattrs:
    if any(not name or "=" in name or "\0" in name for name in found):  # a PAX record would say another thing
        raise ValueError("xattrs")
    return tuple(sorted((name, binascii.a2b_base64(value)) for name, value in found.items()))


def _estargz(size: int, read: ReadPart) -> bytes:
    """The JSON, in a tar of one file, in a gzip member of its own before the footer."""
    start = max(0, size - _TAIL)
    tail = read(start, size - start)
    footer = tail[-_FOOTER:]
    try:
        if len(footer) < _FOOTER or footer[32:38] != b"STARGZ":
            raise ValueError
        place = int(footer[16:32], 16)
    except ValueError:
        raise ArchiveError("the layer does not end as an eStargz does") from None
    length = size - _FOOTER - place
    if not 0 < length <= MAX_TABLE:
        raise ArchiveError("the layer's table of contents has an impossible place")
    packed = tail[place - start : -_FOOTER] if place >= start else read(place, length)
    reader = TarReader(decompressed(iter((packed,))))
    for entry in reader:
        if entry.path == _NAME and entry.kind is Kind.FILE and entry.size <= MAX_TABLE:
            return b"".join(reader.content())
    raise ArchiveError("the layer's table of contents is not where its footer says")


def _bounded(chunks: Iterator[bytes]) -> bytes:
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_TABLE:
            raise ArchiveError("the layer's table of contents is too large")
    return b"".join(parts)


def _check(data: bytes, digest: Digest) -> None:
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise RegistryError(f"the layer's table of contents does not have its digest {digest}")
