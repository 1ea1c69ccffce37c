"""Tar headers as entries, streaming: ustar, GNU and PAX, sparse files included (POSIX pax, GNU tar manual).

Theory of operation: the reader pulls chunks from an iterator into one buffer, yields an entry a member and lets the caller
iterate over the member's bytes before it goes on; what the caller leaves is skipped. Nothing is sized by what a header
claims: long names, PAX records and sparse maps are bounded, contents are passed on chunk by chunk.
Standard library only: the fork server imports this. ``tarfile`` needs four times as long a member.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from gazami.errors import ArchiveError, RefusedArchive
from gazami.layer import tar_fields as fields
from gazami.layer import tar_sparse as sparse
from gazami.layer.entry import Entry, Kind, clean_path
from gazami.layer.tar_fields import MAX_GLOBAL, MAX_META, MAX_PATH, number
from gazami.layer.tar_sparse import HOLE

BLOCK = 512

_KINDS = {
    b"0": Kind.FILE, b"\0": Kind.FILE, b"7": Kind.FILE, b"S": Kind.FILE, b"1": Kind.HARDLINK, b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER, b"4": Kind.BLOCK, b"5": Kind.DIRECTORY, b"6": Kind.FIFO,
}  # fmt: skip
_META = (b"x", b"g", b"L", b"K")
_ZERO = bytes(BLOCK)


class TarReader:
    """Iterate to get entries; :meth:`content` streams the bytes of the one that was last yielded."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = b""
        self._at = 0
        self._left = 0
        self._padding = 0
        self._sparse: list[tuple[int, int]] | None = None
        self._globals: dict[str, bytes] = {}
        self._holes = 0
        self._before = 0
        self.members = 0

    @property
    def offset(self) -> int:
        """The position in the stream: after an entry was yielded, where its contents begin."""
        return self._before + self._at

    @property
    def is_sparse(self) -> bool:
        """Whether the current member's contents are not one run of bytes in the stream."""
        return self._sparse is not None

    def __iter__(self) -> Iterator[Entry]:
        pending: dict[str, bytes] = {}
        room = MAX_META
        while True:
            self._finish_member()
            header = self._header()
            if header is None:
                self._drain()
                return
            kind = header[156:157]
            size = fields.size(header[124:136])
            if kind in _META:
                if size > room:
                    raise RefusedArchive(f"extended headers of more than {MAX_META} bytes are refused")
                room -= size
                self._take_meta(kind, self._meta(size), pending)
                continue
            records = {**self._globals, **pending} if self._globals and pending else pending or self._globals
            pending, room = {}, MAX_META
            entry = self._entry(header, kind, size, records)
            if entry is not None:
                self.members += 1
                yield entry

    def content(self) -> Iterator[bytes]:
        """The bytes of the current member, in pieces of any size. Raises :class:`ArchiveError` when they end early."""
        if self._sparse is not None:
            yield from self._sparse_content()
            return
        while self._left:
            piece = self._piece(self._left)
            self._left -= len(piece)
            yield piece

    # -- headers --------------------------------------------------------------------------------------------------

    def _take_meta(self, kind: bytes, data: bytes, pending: dict[str, bytes]) -> None:
        match kind:
            case b"x":
                pending.update(fields.pax_records(data))
            case b"L":
                pending["path"] = data.split(b"\0", 1)[0]
            case b"K":
                pending["linkpath"] = data.split(b"\0", 1)[0]
            case _:
                self._globals = {**self._globals, **fields.pax_records(data)}
                if sum(len(key) + len(value) for key, value in self._globals.items()) > MAX_GLOBAL:
                    raise RefusedArchive(f"global PAX records of more than {MAX_GLOBAL} bytes are refused")

    def _entry(self, header: bytes, kind: bytes, size: int, records: dict[str, bytes]) -> Entry | None:
        """What a header and its records say; a record without a value leaves the header's (as Go reads it)."""
        name = records.get("path") or _name(header)
        if text := records.get("size"):
            size = fields.decimal(text, "size")
        known = _KINDS.get(kind)
        self._left, self._padding, self._sparse = size, -size % BLOCK, None
        if known is None:  # a vendor's type: skipped, as every reader does
            return None
        if known is not Kind.FILE:  # no contents, whatever the size says
            self._left = self._padding = 0
        elif name.endswith(b"/") and kind in (b"0", b"\0"):
            known = Kind.DIRECTORY
        if kind == b"S":
            size = self._gnu_sparse(header)
        elif records and (version := sparse.pax_version(records)) is not None:
            if known is not Kind.FILE:
                raise ArchiveError("the archive is corrupt: a sparse entry is not a file")
            size, name = self._pax_sparse(records, name, size, version)
        path, target = _paths(name, records.get("linkpath") or header[157:257].split(b"\0", 1)[0], known)
        device = (0, 0)
        if known in (Kind.CHARACTER, Kind.BLOCK):
            device = (fields.device(header[329:337]), fields.device(header[337:345]))
        mode, uid, gid, mtime = fields.attributes(header, records)
        xattrs = fields.xattrs(records) if records else ()
        return Entry(path, known, mode, uid, gid, mtime, size if known is Kind.FILE else 0, target, device, xattrs)

    def _header(self) -> bytes | None:
        block = self._exactly(BLOCK, at_end_ok=True)
        if block is None or block == _ZERO:
            return None
        try:
            stored = number(block[148:156], "checksum")
        except ArchiveError as cause:
            raise ArchiveError("this is not a tar archive, or it is corrupt (bad header checksum)") from cause
        rest = block[:148] + block[156:]
        # adler32's lower half is the sum of the bytes and 1, modulo 65521, which ASCII does not reach: a tenth of the time of sum()
        if stored == (255 + (zlib.adler32(rest) & 0xFFFF) if rest.isascii() else 256 + sum(rest)):
            return block
        if stored != 256 + sum(byte - 256 if byte > 127 else byte for byte in rest):  # as signed bytes, as some old programs did
            raise ArchiveError("this is not a tar archive, or it is corrupt (bad header checksum)")
        return block

    def _meta(self, size: int) -> bytes:
        data = self._exactly(size)
        self._exactly(-size % BLOCK)
        return data or b""

    def _finish_member(self) -> None:
        skip = self._left + self._padding
        self._left = self._padding = 0
        self._sparse = None
        while skip:
            skip -= len(self._piece(skip))

    # -- sparse files ---------------------------------------------------------------------------------------------

    def _gnu_sparse(self, header: bytes) -> int:
        if header[257:265] != b"ustar  \0":
            raise ArchiveError("the archive is corrupt: a header of GNU's sparse files without GNU's magic")
        segments = sparse.gnu_segments(header[386:482])
        real = fields.size(header[483:495])
        extended, taken = header[482], 0
        while extended:
            taken += BLOCK
            if taken > sparse.MAX_MAP:
                raise RefusedArchive(f"a sparse file's map of more than {sparse.MAX_MAP} bytes is refused")
            block = self._exactly(BLOCK) or b""
            segments += sparse.gnu_segments(block[:504])
            extended = block[504]
        return self._set_sparse(segments, real)

    def _pax_sparse(self, records: dict[str, bytes], name: bytes, size: int, version: int) -> tuple[int, bytes]:
        name = records.get("GNU.sparse.name") or name
        text = records.get("GNU.sparse.size") or records.get("GNU.sparse.realsize")
        real = fields.decimal(text, "size") if text else size
        segments = sparse.read_map(self._map_blocks()) if version else sparse.pax_segments(records)
        return self._set_sparse(segments, real), name

    def _map_blocks(self) -> Iterator[bytes]:
        while self._left >= BLOCK:
            self._left -= BLOCK
            yield self._exactly(BLOCK) or b""

    def _set_sparse(self, segments: sparse.Segments, real: int) -> int:
        sparse.check(segments, real, self._left)
        self._holes += real - sum(length for _, length in segments)
        if self._holes > sparse.MAX_HOLES:
            raise RefusedArchive(f"sparse files with holes of {self._holes} bytes are refused")
        self._sparse = [*segments, (real, 0)]
        return real

    def _sparse_content(self) -> Iterator[bytes]:
        at = 0
        segments, self._sparse = self._sparse or [], []
        for offset, length in segments:
            while at < offset:
                piece = HOLE[: offset - at]  # the whole of it is the constant itself
                at += len(piece)
                yield piece
            while length:
                piece = self._piece(length)
                self._left -= len(piece)
                length -= len(piece)
                at += len(piece)
                yield piece

    # -- bytes ----------------------------------------------------------------------------------------------------

    def _fill(self) -> bool:
        for chunk in self._chunks:
            if chunk:
                self._before += len(self._buffer)
                self._buffer, self._at = chunk, 0
                return True
        return False

    def _piece(self, limit: int) -> bytes:
        """At least one and at most ``limit`` bytes."""
        if self._at >= len(self._buffer) and not self._fill():
            raise ArchiveError("the archive is truncated", hint="it ends in the middle of a member")
        piece = self._buffer[self._at : self._at + limit] if self._at or limit < len(self._buffer) else self._buffer
        self._at += len(piece)
        return piece

    def _exactly(self, size: int, *, at_end_ok: bool = False) -> bytes | None:
        end = self._at + size
        if end <= len(self._buffer):
            data = self._buffer[self._at : end]
            self._at = end
            return data
        if not size:
            return b""
        parts: list[bytes] = []
        while size:
            if self._at >= len(self._buffer) and not self._fill():
                if at_end_ok and not parts:
                    return None
                raise ArchiveError("the archive is truncated", hint="it ends in the middle of a header")
            piece = self._piece(size)
            parts.append(piece)
            size -= len(piece)
        return b"".join(parts)

    def _drain(self) -> None:
        self._buffer = b""
        for _ in self._chunks:
            pass


def _name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    if header[257:263] == b"ustar\0" and (prefix := header[345:500].split(b"\0", 1)[0]):
        return prefix + b"/" + name
    return name


def _paths(name: bytes, link: bytes, kind: Kind) -> tuple[str, str]:
    """The member's path and what it links to. Raises :class:`ArchiveError` for paths that no file system has."""
    if len(name) > MAX_PATH or len(link) > MAX_PATH:
        raise RefusedArchive(f"a path of {max(len(name), len(link))} bytes is refused (limit {MAX_PATH})")
    path = clean_path(name.decode("utf-8", "surrogateescape"))
    if kind is Kind.HARDLINK:
        return path, clean_path(link.decode("utf-8", "surrogateescape"))
    if kind is not Kind.SYMLINK:
        return path, ""
    if not link:
        raise RefusedArchive(f"the symlink {path!r} has an empty target")
    return path, link.decode("utf-8", "surrogateescape")
