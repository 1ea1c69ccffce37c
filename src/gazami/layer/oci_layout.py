"""An image as an OCI layout directory (OCI image spec, image-layout.md)."""

from __future__ import annotations

from pathlib import Path

from gazami.errors import HostError
from gazami.image.digest import hasher_for, hex_of
from gazami.image.encoding import encode_json
from gazami.image.manifest import OCI_INDEX, Manifest
from gazami.layer.output_file import OutputFolder, own_directory


def write_oci_layout(folder: Path, config: bytes, manifest: Manifest, blobs: tuple[Path, ...]) -> None:
    """Write the layout with this one image in its index; blobs that are there already stay.

    ``index.json`` is replaced last, so a reader never sees an image whose blobs are missing. Raises :class:`HostError`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        blobs_folder = own_directory(own_directory(folder / "blobs") / "sha256")
        with OutputFolder(blobs_folder, follow=False) as store:
            for descriptor, blob in zip(manifest.layers, blobs, strict=True):
                name = hex_of(descriptor.digest)
                if not store.has(name, descriptor.size, hasher_for(descriptor.digest)):
                    store.copy(name, blob)
            store.put(hex_of(manifest.config.digest), config)
            store.put(hex_of(manifest.digest), manifest.raw)
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [manifest.descriptor().encode()]}
        with OutputFolder(folder) as layout:
            layout.put("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            layout.put("index.json", encode_json(index, indent=2))
    except OSError as cause:
        place = f" ({cause.filename})" if isinstance(cause, NotADirectoryError) and cause.filename else ""
        raise HostError(f"the OCI layout {folder} cannot be written: {cause.strerror}{place}") from cause
