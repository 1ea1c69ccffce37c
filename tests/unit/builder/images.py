"""Images for tests of what images hold: layouts whose layers are tar archives made here."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from gazami.builder.contents.opened import Opened, open_stored
from gazami.builder.files.workspace import Workspace
from gazami.builder.outputs.publish import load
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor, encode_manifest
from gazami.image.platform import Platform
from gazami.layer.oci_layout import OciLayout, blob_data

PLATFORM = Platform("linux", "amd64")
KINDS = {
    "dir": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "hard": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
    "char": tarfile.CHRTYPE,
}


def member(name: str, data: bytes = b"", kind: str = "", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a layer; ``fields`` are those of :class:`tarfile.TarInfo`."""
    info = tarfile.TarInfo(name)
    info.mode, info.size, info.type = 0o644, len(data), KINDS.get(kind, tarfile.REGTYPE)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def layer(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def layout(folder: Path, *layers: bytes, history: tuple[str, ...] = (), **config: Any) -> Path:
    """The layout of an image with these layers, uncompressed as given; ``config`` is that of a container."""
    packed = [gzip.compress(each, 1, mtime=0) for each in layers]
    raw = json.dumps({
        "os": "linux", "architecture": "amd64", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers]},
        "history": [{"created_by": each} for each in history],
    }).encode()  # fmt: skip
    blobs = [Descriptor(OCI_LAYER_GZIP, digest_of(each), len(each)) for each in packed]
    manifest = encode_manifest(OCI_MANIFEST, Descriptor(OCI_CONFIG, digest_of(raw), len(raw)), tuple(blobs))
    OciLayout(folder).write(manifest, raw, [blob_data(each, data) for each, data in zip(blobs, packed, strict=True)])
    return folder


def opened(folder: Path) -> Opened:
    """A layout, which needs no workspace later."""
    with Workspace(str(folder.parent / "state")) as workspace:
        return open_stored(load(folder, "", workspace), PLATFORM, str(folder))
