"""The fields of tar headers: numbers in octal and base 256, and PAX records, each within bounds (POSIX pax, GNU tar manual).

Every number has a range, as in Go's archive/tar: what does not fit into the kernel's types is a corrupt archive, not a value that
fails elsewhere. Standard library only: the fork server imports this.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping

from gazami.errors import ArchiveError

MAX_META = 8 << 20
"""Bytes of the extended headers (PAX records, long names) of one member: more is refused."""

MAX_GLOBAL = 64 << 10
"""Bytes of global PAX records. They hold for every member, so that their number counts as often as there are members."""

MAX_PATH = 65535
"""Bytes of a member's path and of a link's target. Linux takes less at once (PATH_MAX); an index may hold what no disk does."""

_PLAIN = struct.Struct("7ss7ss7ss12x11ss")
"""Mode, owner, group and time as octal digits, each with the byte behind it; from offset 100."""

_MAX_ID = 1 << 32
_MAX_SIZE = 1 << 63
_XATTR = "SCHILY.xattr."
_LIBARCHIVE_XATTR = "LIBARCHIVE.xattr."


def number(field: bytes, what: str) -> int:
    """A numeric field. Raises :class:`ArchiveError` unless it holds octal digits or GNU's base 256."""
    digits = field[:-1]
    if digits.isdigit() and field[-1] in b"\0 ":  # as nearly every field is written
        try:
            return int(digits, 8)
        except ValueError:
            pass
    if field[:1] in (b"\x80", b"\xff"):
        value = int.from_bytes(field, "big", signed=field[0] == 0xFF)
        value = value if field[0] == 0xFF else value - (0x80 << (8 * (len(field) - 1)))
        if not -_MAX_SIZE <= value < _MAX_SIZE:
            raise ArchiveError(f"the archive is corrupt: the {what} {value} is out of range")
        return value
    text = field.split(b"\0", 1)[0].strip(b" ")
    if not text:
        return 0
    try:
        if text.isdigit():
            return int(text, 8)
    except ValueError:
        pass
    raise ArchiveError(f"the archive is corrupt: {field!r} is not a {what}")


def size(field: bytes) -> int:
    return _in_range(number(field, "size"), _MAX_SIZE, "size")


def device(field: bytes) -> int:
    return _in_range(number(field, "device"), 1 << 32, "device")


def owner(value: int) -> int:
    """A user or group id. Negative ones are those of systems where ids are signed, and mean what the kernel takes them for."""
    if not -(_MAX_ID >> 1) <= value < _MAX_ID:
        raise ArchiveError(f"the archive is corrupt: the owner {value} is out of range")
    return value % _MAX_ID


def attributes(header: bytes, records: Mapping[str, bytes]) -> tuple[int, int, int, int]:
    """Mode, owner, group and modification time of a member; what PAX records say wins."""
    if not records:
        mode, _, uid, _, gid, _, mtime, _ = plain = _PLAIN.unpack_from(header, 100)
        if b"".join(plain[::2]).isdigit() and not b"".join(plain[1::2]).strip(b"\0 "):  # as nearly every header is written
            with contextlib.suppress(ValueError):
                return int(mode, 8) & 0o7777, int(uid, 8), int(gid, 8), int(mtime, 8)
    owner_text, group_text, time = records.get("uid"), records.get("gid"), records.get("mtime")
    return (
        number(header[100:108], "mode") & 0o7777,
        owner(signed(owner_text, "uid") if owner_text else number(header[108:116], "uid")),
        owner(signed(group_text, "gid") if group_text else number(header[116:124], "gid")),
        seconds(time) if time else number(header[136:148], "mtime"),
    )


def decimal(text: bytes, what: str) -> int:
    """A number of a PAX record. Raises :class:`ArchiveError` for anything but digits that fit into 63 bits."""
    if not text.isdigit() or len(text) > 20:
        raise ArchiveError(f"the archive is corrupt: {text[:40]!r} is not a {what}")
    return _in_range(int(text), _MAX_SIZE, what)


def signed(text: bytes, what: str) -> int:
    return -decimal(text[1:], what) if text.startswith(b"-") else decimal(text, what)


def seconds(text: bytes) -> int:
    """Whole seconds, towards the past, of a PAX time."""
    whole, _, fraction = text.partition(b".")
    sign = whole.startswith(b"-")
    digits = whole[sign:]
    if (fraction and not fraction.isdigit()) or not (digits or fraction):
        raise ArchiveError(f"the archive is corrupt: {text[:40]!r} is not a time")
    value = decimal(digits or b"0", "time")
    return -value - bool(fraction.strip(b"0")) if sign else value


def _in_range(value: int, end: int, what: str) -> int:
    if not 0 <= value < end:
        raise ArchiveError(f"the archive is corrupt: the {what} {value} is out of range")
    return value


def pax_records(data: bytes) -> dict[str, bytes]:
    """``"%d key=value\\n"`` records; a value may hold any byte, a path no NUL. Raises :class:`ArchiveError`."""
    records: dict[str, bytes] = {}
    sparse: list[bytes] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        digits = data[at:space] if space > 0 else b""
        length = int(digits) if digits.isdigit() else 0
        record = data[space + 1 : at + length]
        if length < 4 or at + length > len(data) or not record.endswith(b"\n") or b"=" not in record:
            raise ArchiveError("the archive is corrupt: a PAX header does not parse")
        key, _, value = record[:-1].partition(b"=")
        if not key or b"\0" in key or (key in (b"path", b"linkpath") and b"\0" in value):
            raise ArchiveError(f"the archive is corrupt: the PAX record {key[:40]!r} is empty or holds a NUL")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            sparse.append(value)
        else:
            records[key.decode("utf-8", "surrogateescape")] = value
        at += length
    if sparse:
        records["GNU.sparse.map"] = b",".join(sparse)
    return records


def xattrs(records: Mapping[str, bytes]) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes among PAX records, sorted by name."""
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
