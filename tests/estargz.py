"""Layers with a table of contents, as stargz-snapshotter's docs/estargz.md describes them; the table may be a lie."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
import zlib
from datetime import UTC, datetime
from typing import Any

NOTE = "containerd.io/snapshot/stargz/toc.digest"

_TYPES = {
    tarfile.REGTYPE: "reg",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}


def rows_of(tar: bytes) -> list[dict[str, Any]]:
    """The rows of a table that says the truth."""
    rows = []
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for each in archive:
            row: dict[str, Any] = {"name": each.name + "/" * each.isdir(), "type": _TYPES[each.type], "mode": each.mode}
            row |= {"uid": each.uid, "gid": each.gid, "modtime": datetime.fromtimestamp(each.mtime, UTC).isoformat()}
            row |= {"size": each.size} if each.isreg() else {}
            row |= {"linkName": each.linkname} if each.issym() or each.islnk() else {}
            row |= {"devMajor": each.devmajor, "devMinor": each.devminor} if each.ischr() or each.isblk() else {}
            rows.append(row)
    return rows


def estargz(tar: bytes, rows: list[dict[str, Any]]) -> tuple[bytes, bytes, dict[str, str]]:
    """The blob, its tar (which holds the table as a last file), and the annotations of the layer."""
    table = json.dumps({"version": 1, "entries": rows}).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("stargz.index.json")
        info.size = len(table)
        archive.addfile(info, io.BytesIO(table))
    files = tar[: _end_of_members(tar)]
    data = gzip.compress(files, 1)
    blob = data + gzip.compress(out.getvalue()) + _footer(len(data))
    return blob, files + out.getvalue(), {NOTE: f"sha256:{hashlib.sha256(table).hexdigest()}"}


def _end_of_members(tar: bytes) -> int:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        last = archive.getmembers()[-1]
    return last.offset_data + -(-last.size // 512) * 512 if last.isreg() else last.offset_data


def _footer(start: int) -> bytes:
    extra = b"SG" + struct.pack("<H", 22) + f"{start:016x}STARGZ".encode()
    head = b"\x1f\x8b\x08\x04" + bytes(6) + struct.pack("<H", len(extra)) + extra
    footer = head + b"\x01\x00\x00\xff\xff" + struct.pack("<II", zlib.crc32(b""), 0)
    assert len(footer) == 51 and gzip.decompress(footer) == b""
    return footer
