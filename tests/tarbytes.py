"""Tar archives byte by byte, for tests of what no archiver would write."""

from __future__ import annotations

BLOCK = 512
END = bytes(2 * BLOCK)


def base256(value: int, width: int = 12) -> bytes:
    """GNU's form of a number."""
    if value < 0:
        return value.to_bytes(width, "big", signed=True)
    return (value | (0x80 << (8 * (width - 1)))).to_bytes(width, "big")


def header(
    name: bytes = b"x",
    kind: bytes = b"0",
    *,
    size: int | bytes = 0,
    mode: bytes = b"0000644",
    mtime: bytes = b"00000000000",
    uid: bytes = b"0000000",
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    patches: tuple[tuple[int, bytes], ...] = (),
) -> bytes:
    """A header block with a right checksum. ``patches`` are ``(offset, bytes)`` over what it would hold."""
    block = bytearray(BLOCK)
    raw = b"%011o" % size if isinstance(size, int) else size
    fields = (
        (0, name[:100]), (100, mode), (108, uid), (116, b"0000000"), (124, raw), (136, mtime), (156, kind),
        (157, link[:100]), (257, magic), (329, b"0000000"), (337, b"0000000"),
    )  # fmt: skip
    for at, data in (*fields, *patches):
        block[at : at + len(data)] = data
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def member(name: bytes = b"x", data: bytes = b"", kind: bytes = b"0", **fields: bytes) -> bytes:
    return header(name, kind, size=len(data), **fields) + padded(data)  # type: ignore[arg-type]


def record(key: bytes, value: bytes) -> bytes:
    """One PAX record, its length in front."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while length != len(str(length)) + len(body):
        length = len(str(length)) + len(body)
    return b"%d" % length + body


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    data = b"".join(record(key, value) for key, value in records)
    return member(b"pax", data, kind)
