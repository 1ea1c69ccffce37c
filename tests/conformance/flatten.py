"""An image's files and config as plain values, by a reader of our own for tests: stdlib ``tarfile`` and ``json`` only."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

File = dict[str, Any]


def _decompressed(data: bytes) -> bytes:
    if data[:4] == b"\x28\xb5\x2f\xfd":
        from backports import zstd

        return zstd.decompress(data)
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def read_layout(layout: Path) -> tuple[dict[str, Any], dict[str, File]]:
    """``(config, files)`` of the one image of an OCI layout; every digest on the way is checked."""
    index = json.loads((layout / "index.json").read_bytes())
    manifest = json.loads(blob(layout, index["manifests"][0]))
    config = json.loads(blob(layout, manifest["config"]))
    files: dict[str, File] = {}
    for descriptor, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        data = blob(layout, descriptor)
        tar = _decompressed(data)
        assert "sha256:" + hashlib.sha256(tar).hexdigest() == diff_id
        path = layout / "layer.tar"
        path.write_bytes(tar)
        with tarfile.open(path) as archive:
            apply_layer(archive, files)
    return config, files


def blob(layout: Path, descriptor: dict[str, Any]) -> bytes:
    algorithm, encoded = descriptor["digest"].split(":")
    data = (layout / "blobs" / algorithm / encoded).read_bytes()
    assert hashlib.sha256(data).hexdigest() == encoded
    assert len(data) == descriptor["size"]
    return data


def apply_layer(archive: tarfile.TarFile, files: dict[str, File]) -> None:
    members = [(member, clean(member.name)) for member in archive]
    for _, name in members:
        parent, _, base = name.rpartition("/")
        if base == ".wh..wh..opq":
            remove_below(files, parent)
        elif base.startswith(".wh."):
            victim = f"{parent}/{base[4:]}".lstrip("/")
            remove_below(files, victim)
            files.pop(victim, None)
    for member, name in members:
        if name.rpartition("/")[2].startswith(".wh.") or not name:
            continue
        if not member.isdir():
            remove_below(files, name)
        files[name] = describe(archive, member, files)


def describe(archive: tarfile.TarFile, member: tarfile.TarInfo, files: dict[str, File]) -> File:
    if member.islnk():
        return files[clean(member.linkname)]
    kind = {
        tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "link", tarfile.CHRTYPE: "char", tarfile.BLKTYPE: "block",
        tarfile.FIFOTYPE: "fifo",
    }.get(member.type, "file")  # fmt: skip
    out: File = {"kind": kind, "uid": member.uid, "gid": member.gid}
    if kind != "link":
        out["mode"] = oct(member.mode & 0o7777)
    else:
        out["target"] = member.linkname
    if kind == "file":
        content = archive.extractfile(member)
        assert content is not None
        out["size"] = member.size
        out["sha256"] = hashlib.file_digest(content, "sha256").hexdigest()
    if kind in ("char", "block"):
        out["device"] = (member.devmajor, member.devminor)
    xattrs = {key: value for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")}
    if xattrs:
        out["xattrs"] = xattrs
    return out


def link_groups(files: dict[str, File]) -> set[frozenset[str]]:
    """Sets of names that are one file."""
    groups: dict[int, set[str]] = {}
    for path, file in files.items():
        groups.setdefault(id(file), set()).add(path)
    return {frozenset(names) for names in groups.values() if len(names) > 1}


def remove_below(files: dict[str, File], path: str) -> None:
    prefix = path + "/" if path else ""
    for name in [each for each in files if each.startswith(prefix)]:
        del files[name]


def clean(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))
