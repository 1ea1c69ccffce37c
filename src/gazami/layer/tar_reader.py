"""Tar headers as entries, streaming: ustar, GNU and PAX, sparse files included (POSIX pax, GNU tar manual).

Theory of operation: the reader pulls chunks from an iterator into one buffer, yields an entry a member and lets the caller
iterate over the member's bytes before it goes on; what the caller leaves is skipped. Nothing is sized by what a header
claims: long names and PAX records are bounded, contents are passed on chunk by chunk.
Standard library only: the fork server imports this. ``tarfile`` needs four times as long a member.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from gazami.errors import ArchiveError
from gazami.layer.entry import Entry, Kind, clean_path

BLOCK = 512
MAX_META = 8 << 20
"""Bytes of one PAX or long-name record: more is refused."""

_KINDS = {
    b"0": Kind.FILE, b"\0": Kind.FILE, b"7": Kind.FILE, b"S": Kind.FILE, b"1": Kind.HARDLINK, b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER, b"4": Kind.BLOCK, b"5": Kind.DIRECTORY, b"6": Kind.FIFO,
}  # fmt: skip
_ZERO = bytes(BLOCK)
_XATTR = "SCHILY.xattr."
_LIBARCHIVE_XATTR = "LIBARCHIVE.xattr."
_UNSIGNED = struct.Struct("148B8x356B")


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
        while True:
            self._finish_member()
            header = self._header()
            if header is None:
                self._drain()
                return
            kind = header[156:157]
            size = _number(header[124:136], "size")
            if kind in b"xg" and kind:
                records = _pax_records(self._meta(size))
                if kind == b"g":
                    self._globals.update(records)
                else:
                    pending.update(records)
                continue
            if kind == b"L":
                pending["path"] = self._meta(size).split(b"\0", 1)[0]
                continue
            if kind == b"K":
                pending["linkpath"] = self._meta(size).split(b"\0", 1)[0]
                continue
            records = {**self._globals, **pending} if self._globals or pending else pending
            pending = {}
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

    def _entry(self, header: bytes, kind: bytes, size: int, records: dict[str, bytes]) -> Entry | None:
        name = records.get("path")
        if name is None:
            name = header[:100].split(b"\0", 1)[0]
            if header[257:263] == b"ustar\0":
                prefix = header[345:500].split(b"\0", 1)[0]
                name = prefix + b"/" + name if prefix else name
        if "size" in records:
            size = _decimal(records["size"], "size")
        known = _KINDS.get(kind)
        self._left, self._padding, self._sparse = size, -size % BLOCK, None
        if known is None:  # a vendor's type: skipped, as every reader does
            return None
        if known not in (Kind.FILE, Kind.HARDLINK):
            self._left = self._padding = 0
        elif known is Kind.HARDLINK:
            size = 0
        if known is Kind.FILE and name.endswith(b"/") and kind in (b"0", b"\0"):
            known = Kind.DIRECTORY
        if kind == b"S":
            size = self._gnu_sparse(header)
        elif any(key.startswith("GNU.sparse.") for key in records):
            size, name = self._pax_sparse(records, name, size)
        link = records.get("linkpath")
        if link is None:
            link = header[157:257].split(b"\0", 1)[0]
        target = link.decode("utf-8", "surrogateescape")
        device = (0, 0)
        if known in (Kind.CHARACTER, Kind.BLOCK):
            device = (_number(header[329:337], "device"), _number(header[337:345], "device"))
        return Entry(
            clean_path(name.decode("utf-8", "surrogateescape")),
            known,
            _number(header[100:108], "mode") & 0o7777,
            _decimal(records["uid"], "uid") if "uid" in records else _number(header[108:116], "uid"),
            _decimal(records["gid"], "gid") if "gid" in records else _number(header[116:124], "gid"),
            _seconds(records["mtime"]) if "mtime" in records else _number(header[136:148], "mtime"),
            size if known is Kind.FILE else 0,
            clean_path(target) if known is Kind.HARDLINK else target if known is Kind.SYMLINK else "",
            device,
            _xattrs(records) if records else (),
        )

    def _header(self) -> bytes | None:
        block = self._exactly(BLOCK, at_end_ok=True)
        if block is None or block == _ZERO:
            return None
        try:
            stored = _number(block[148:156], "checksum")
        except ArchiveError as cause:
            raise ArchiveError("this is not a tar archive, or it is corrupt (bad header checksum)") from cause
        total = 256 + sum(_UNSIGNED.unpack(block))
        if stored != total and stored != 256 + sum(
            byte - 256 if byte > 127 else byte for byte in _UNSIGNED.unpack(block)
        ):
            raise ArchiveError("this is not a tar archive, or it is corrupt (bad header checksum)")
        return block

    def _meta(self, size: int) -> bytes:
        if size > MAX_META:
            raise ArchiveError(f"an extended header of {size} bytes is refused (limit {MAX_META})")
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
        segments = _gnu_segments(header[386:482])
        real = _number(header[483:495], "size")
        extended = header[482]
        while extended:
            block = self._exactly(BLOCK) or b""
            segments += _gnu_segments(block[:504])
            extended = block[504]
        return self._set_sparse(segments, real)

    def _pax_sparse(self, records: dict[str, bytes], name: bytes, size: int) -> tuple[int, bytes]:
        name = records.get("GNU.sparse.name", name)
        real = _decimal(records.get("GNU.sparse.realsize", records.get("GNU.sparse.size", b"%d" % size)), "size")
        if records.get("GNU.sparse.major") == b"1":
            segments = self._sparse_map()
        else:
            numbers = [_decimal(each, "sparse") for each in records.get("GNU.sparse.map", b"").split(b",") if each]
            segments = list(zip(numbers[::2], numbers[1::2], strict=False))
        return self._set_sparse(segments, real), name

    def _sparse_map(self) -> list[tuple[int, int]]:
        """The map of format 1.0: decimal lines in the first blocks of the contents."""
        text = b""
        wanted = None
        while wanted is None or text.count(b"\n") < wanted:
            if len(text) > MAX_META or self._left < BLOCK:
                raise ArchiveError("a sparse file's map is broken")
            text += self._exactly(BLOCK) or b""
            self._left -= BLOCK
            if wanted is None and b"\n" in text:
                wanted = 1 + 2 * _decimal(text.split(b"\n", 1)[0], "sparse")
        numbers = [_decimal(line, "sparse") for line in text.split(b"\n")[1:wanted]]
        return list(zip(numbers[::2], numbers[1::2], strict=False))

    def _set_sparse(self, segments: list[tuple[int, int]], real: int) -> int:
        end = 0
        for offset, length in segments:
            if offset < end or length < 0 or offset + length > real:
                raise ArchiveError("a sparse file's map is broken")
            end = offset + length
        if sum(length for _, length in segments) > self._left:
            raise ArchiveError("a sparse file's map is broken")
        self._sparse = [*segments, (real, 0)]
        return real

    def _sparse_content(self) -> Iterator[bytes]:
        at = 0
        segments, self._sparse = self._sparse or [], []
        hole = bytes(1 << 20)
        for offset, length in segments:
            while at < offset:
                piece = hole[: offset - at]
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


def _number(field: bytes, what: str) -> int:
    if field[:1] in (b"\x80", b"\xff"):  # GNU base-256
        value = int.from_bytes(field, "big", signed=field[0] == 0xFF)
        return value if field[0] == 0xFF else value - (0x80 << (8 * (len(field) - 1)))
    text = field.split(b"\0", 1)[0].strip(b" ")
    if not text:
        return 0
    try:
        return int(text, 8)
    except ValueError:
        raise ArchiveError(f"the archive is corrupt: {field!r} is not a {what}") from None


def _decimal(text: bytes, what: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ArchiveError(f"the archive is corrupt: {text!r} is not a {what}") from None
    if value < 0:
        raise ArchiveError(f"the archive is corrupt: {text!r} is not a {what}")
    return value


def _seconds(text: bytes) -> int:
    whole, _, fraction = text.partition(b".")
    try:
        value = int(whole or b"0")
    except ValueError:
        raise ArchiveError(f"the archive is corrupt: {text!r} is not a time") from None
    return value - 1 if text.startswith(b"-") and fraction.strip(b"0") else value


def _pax_records(data: bytes) -> dict[str, bytes]:
    """``"%d key=value\\n"`` records; a value may hold any byte."""
    records: dict[str, bytes] = {}
    sparse: list[bytes] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        try:
            length = int(data[at:space]) if space > 0 else 0
        except ValueError:
            length = 0
        record = data[space + 1 : at + length]
        if length < 4 or at + length > len(data) or not record.endswith(b"\n") or b"=" not in record:
            raise ArchiveError("the archive is corrupt: a PAX header does not parse")
        key, _, value = record[:-1].partition(b"=")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            sparse.append(value)
        else:
            records[key.decode("utf-8", "surrogateescape")] = value
        at += length
    if sparse:
        records["GNU.sparse.map"] = b",".join(sparse)
    return records


def _xattrs(records: dict[str, bytes]) -> tuple[tuple[str, bytes], ...]:
    found = {key[len(_XATTR) :]: value for key, value in records.items() if key.startswith(_XATTR)}
    for key, value in records.items():
        if key.startswith(_LIBARCHIVE_XATTR):
            found.setdefault(key[len(_LIBARCHIVE_XATTR) :], _base64(value))
    return tuple(sorted(found.items()))


def _base64(value: bytes) -> bytes:
    import binascii

    try:
        return binascii.a2b_base64(value + b"=" * (-len(value) % 4))
    except binascii.Error:
        raise ArchiveError("the archive is corrupt: an extended attribute does not decode") from None


def _gnu_segments(field: bytes) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for at in range(0, len(field) - 23, 24):
        if not field[at]:
            break
        found.append((_number(field[at : at + 12], "sparse"), _number(field[at + 12 : at + 24], "sparse")))
    return found
