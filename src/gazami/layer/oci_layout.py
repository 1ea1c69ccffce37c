"""An image as an OCI layout directory (OCI image spec, image-layout.md)."""

from __future__ import annotations

import shutil
from pathlib import Path

from gazami.errors import HostError
from gazami.image.digest import Digest, hex_of
from gazami.image.encoding import encode_json
from gazami.image.manifest import OCI_INDEX, Descriptor, Manifest


def write_oci_layout(folder: Path, config: bytes, manifest: Manifest, blobs: tuple[Path, ...]) -> None:
    """Write the layout with this one image in its index; blobs that are there already stay.

    ``index.json`` is replaced last, so a reader never sees an image whose blobs are missing. Raises :class:`HostError`.
    """
    try:
        store = folder / "blobs" / "sha256"
        store.mkdir(parents=True, exist_ok=True)
        for descriptor, blob in zip(manifest.layers, blobs, strict=True):
            _copy(blob, store, descriptor)
        _put(store / hex_of(manifest.config.digest), config)
        _put(store / hex_of(manifest.digest), manifest.raw)
        _put(folder / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [manifest.descriptor().encode()]}
        _put(folder / "index.json", encode_json(index, indent=2))
    except OSError as cause:
        raise HostError(f"the OCI layout {folder} cannot be written: {cause.strerror}") from cause


def _copy(blob: Path, store: Path, descriptor: Descriptor) -> None:
    final = store / hex_of(Digest(descriptor.digest))
    if final.exists() and final.stat().st_size == descriptor.size:
        return
    part = final.with_suffix(".part")
    shutil.copyfile(blob, part)
    part.replace(final)


def _put(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)
