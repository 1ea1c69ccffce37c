"""Entries as tar headers: ustar where it fits, PAX records where it does not. Same entry, same bytes.

Times are whole seconds and no access or change times are written, as containerd does. Standard library only.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterable, Iterator

from gazami.errors import ContextError
from gazami.layer.beneath import FileOpener
from gazami.layer.entry import BytesContent, Entry, FileContent, Kind

BLOCK = 512
CHUNK = 1 << 20
END = bytes(2 * BLOCK)

_FLAGS = {
    Kind.FILE: b"0", Kind.HARDLINK: b"1", Kind.SYMLINK: b"2", Kind.CHARACTER: b"3", Kind.BLOCK: b"4",
    Kind.DIRECTORY: b"5", Kind.FIFO: b"6",
}  # fmt: skip
_MAGIC = b"ustar\x0000"
_NO_OWNERS = bytes(64)
_END_OF_HEADER = bytes(12)
_EXACT = 65520 // 255
"""Bytes, whatever they are, whose sum is less than adler32's modulus."""

_OCTAL_7 = 0o7777777
_OCTAL_11 = 0o77777777777


def header(entry: Entry) -> bytes:
    """The header blocks of an entry (contents and padding excluded)."""
    name = entry.path.encode("utf-8", "surrogateescape")
    if entry.kind is Kind.DIRECTORY:
        name += b"/"
    link = entry.link.encode("utf-8", "surrogateescape")
    records: list[tuple[bytes, bytes]] = []
    short, prefix = _split_name(name)
    if short is None:
        records.append((b"path", name))
        short, prefix = _ascii(name)[:100], b""
    if len(link) > 100 or not link.isascii():
        records.append((b"linkpath", link))
        link = _ascii(link)[:100]
    size = entry.size if entry.kind is Kind.FILE else 0
    uid, gid, mtime = entry.uid, entry.gid, entry.mtime
    if size > _OCTAL_11:
        records.append((b"size", b"%d" % size))
        size = 0
    if not 0 <= uid <= _OCTAL_7:
        records.append((b"uid", b"%d" % uid))
        uid = 0
    if not 0 <= gid <= _OCTAL_7:
        records.append((b"gid", b"%d" % gid))
        gid = 0
    if not 0 <= mtime <= _OCTAL_11:
        records.append((b"mtime", b"%d" % mtime))
        mtime = 0
    records += [(b"SCHILY.xattr." + key.encode("utf-8", "surrogateescape"), value) for key, value in entry.xattrs]
    block = _block(short, prefix, entry, link, size, uid, gid, mtime)
    return _pax(short, records) + block if records else block


def _block(name: bytes, prefix: bytes, entry: Entry, link: bytes, size: int, uid: int, gid: int, mtime: int) -> bytes:
    major, minor = entry.device
    head = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(100, b"\0"), entry.mode & 0o7777, uid, gid, size, mtime)
    tail = b"%b%b%b%b%07o\0%07o\0%b" % (
        _FLAGS[entry.kind], link.ljust(100, b"\0"), _MAGIC, _NO_OWNERS, major & _OCTAL_7, minor & _OCTAL_7,
        prefix.ljust(155, b"\0"),
    )  # fmt: skip
    return b"%b%06o\0 %b%b" % (head, _sum(head + tail) + 256, tail, _END_OF_HEADER)


def _sum(data: bytes) -> int:
    """The sum of the bytes. That is adler32's lower half less 1, modulo 65521, and comes in a tenth of the time."""
    if len(data) - data.count(0) <= _EXACT:
        return (zlib.adler32(data) & 0xFFFF) - 1
    return sum(data)


def _pax(name: bytes, records: list[tuple[bytes, bytes]]) -> bytes:
    data = b"".join(_record(key, value) for key, value in records)
    base = name.rstrip(b"/").rsplit(b"/", 1)[-1][:80]
    entry = Entry("", Kind.FILE, 0)
    block = bytearray(_block(b"PaxHeaders.0/" + base, b"", entry, b"", len(data), 0, 0, 0))
    block[156:157] = b"x"
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data + bytes(-len(data) % BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    body = b" %b=%b\n" % (key, value)
    length = len(body)
    total = length + len(str(length))
    total = length + len(str(total))
    return b"%d%b" % (total, body)


def _split_name(name: bytes) -> tuple[bytes | None, bytes]:
    """``(name, prefix)`` for a ustar header, name None when only PAX can hold it."""
    if not name.isascii():
        return None, b""
    if len(name) <= 100:
        return name, b""
    if len(name) <= 256:
        at = name.rfind(b"/", 0, 156)
        if at > 0 and len(name) - at - 1 <= 100 and len(name) - at - 1 > 0:
            return name[at + 1 :], name[:at]
    return None, b""


def _ascii(text: bytes) -> bytes:
    return bytes(byte if byte < 128 else 0x5F for byte in text)


def write_members(members: Iterable[tuple[Entry, FileContent | BytesContent | None]]) -> Iterator[bytes]:
    """The whole archive as chunks of about 1 MiB: headers, contents, padding and the end marker.

    A file that shrank since it was measured raises :class:`ContextError`; one that grew is cut at its recorded size.
    """
    pending: list[bytes] = []
    held = 0
    with FileOpener() as opener:
        for entry, content in members:
            block = header(entry)
            pending.append(block)
            held += len(block)
            if entry.kind is Kind.FILE and entry.size:
                for piece in _pieces(entry, content, opener):
                    pending.append(piece)
                    held += len(piece)
                    if held >= CHUNK:
                        yield b"".join(pending)
                        pending, held = [], 0
                padding = -entry.size % BLOCK
                pending.append(bytes(padding))
                held += padding
            if held >= CHUNK:
                yield b"".join(pending)
                pending, held = [], 0
    yield b"".join([*pending, END])


def _pieces(entry: Entry, content: FileContent | BytesContent | None, opener: FileOpener) -> Iterable[bytes]:
    match content:
        case BytesContent(data):
            return (data,)
        case FileContent():
            return _small_file(entry, content, opener) if entry.size <= CHUNK else _file_content(entry, content, opener)
        case None:
            raise AssertionError(f"{entry.path} has no content")


def _small_file(entry: Entry, content: FileContent, opener: FileOpener) -> tuple[bytes, ...]:
    """A whole file, nearly always by one read: most layers have many files and few large ones."""
    fd = _opened(content, opener)
    try:
        data = os.pread(fd, entry.size, content.offset)
    finally:
        os.close(fd)
    return (data,) if len(data) == entry.size else tuple(_file_content(entry, content, opener))


def _file_content(entry: Entry, content: FileContent, opener: FileOpener) -> Iterator[bytes]:
    path, offset = content.path, content.offset
    fd = _opened(content, opener)
    try:
        left = entry.size
        while left:
            data = os.pread(fd, min(left, CHUNK), offset)
            if not data:
                raise ContextError(f"{path} became shorter while it was read", hint="do not change the files during the build")
            offset += len(data)
            left -= len(data)
            yield data
    finally:
        os.close(fd)


def _opened(content: FileContent, opener: FileOpener) -> int:
    try:
        return opener.open(content)
    except OSError as cause:
        if cause.errno not in (errno.ESTALE, errno.ELOOP, errno.ENOTDIR, errno.ENOENT, errno.ENXIO):
            raise
        text = f"{content.path} was replaced while it was read"
        raise ContextError(text, hint="do not change the files during the build") from cause
