"""An image of a registry, or an index with all of its images, to other registries or into a layout: nothing of it changes.

Blobs are mounted where the registry is the same one, else streamed through; the manifests go last, the one with the name at the
very end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gazami.errors import NotFoundError, RegistryError
from gazami.events import Emit, Exported
from gazami.image.digest import Digest
from gazami.image.manifest import Descriptor, Index, Manifest
from gazami.image.platform import Platform
from gazami.image.reference import Reference
from gazami.layer.oci_layout import NewBlob, OciLayout, blob_of
from gazami.registry.client import RegistryClient
from gazami.registry.manifests import explain_missing
from gazami.registry.resolved import NESTING
from gazami.registry.transfer import Uploads
from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class Whole:
    """What a name stands for: ``manifests`` are all those of an index, the innermost first, ``top`` included."""

    reference: Reference
    top: Manifest | Index
    manifests: tuple[Manifest | Index, ...]

    def blobs(self) -> Iterator[Descriptor]:
        """Configs and layers, each once; foreign layers are fetched from their own place by those who run the image."""
        seen: set[Digest] = set()
        for manifest in self.manifests:
            for blob in (manifest.config, *manifest.layers) if isinstance(manifest, Manifest) else ():
                if blob.digest not in seen and not blob.urls:
                    seen.add(blob.digest)
                    yield blob


def whole(reference: Reference, client: RegistryClient, platform: Platform | None = None) -> Whole:
    """All that a name stands for, or the image of one platform. Raises what the registry says, and :class:`RegistryError` for an
    index that is nested too deep."""
    if platform is not None:
        image = client.resolve(reference, platform).manifest
        return Whole(reference, image, (image,))
    try:
        top = client.get_manifest(reference)
    except NotFoundError as error:
        explain_missing(error, reference, client.session(reference, "pull"))
        raise
    return Whole(reference, top, tuple(_manifests(reference, top, client, NESTING)))


def _manifests(reference: Reference, top: Manifest | Index, client: RegistryClient, depth: int) -> Iterator[Manifest | Index]:
    if isinstance(top, Index):
        if not depth:
            raise RegistryError(f"{reference} is an index of indexes, more than {NESTING} deep")
        for each in top.manifests:
            yield from _manifests(reference, client.get_manifest(reference.with_digest(each.digest)), client, depth - 1)
    yield top


def copy_to_registry(source: Whole, destination: Reference, client: RegistryClient, emit: Emit) -> Digest:
    """Raises what the registries say; a name never stands for an image of which a part is missing."""
    if source.reference.context != destination.context:
        with Uploads(client) as uploads:
            for blob in source.blobs():
                uploads.submit_copy(source.reference, destination, blob)
            uploads.wait()
        for manifest in source.manifests[:-1]:
            by_digest = Reference(destination.registry, destination.repository, None, manifest.digest)
            client.push_manifest(by_digest, manifest.raw, manifest.media_type)
    client.push_manifest(destination, source.top.raw, source.top.media_type)
    emit(Exported("image", str(destination), source.top.digest))
    return source.top.digest


def copy_to_layout(source: Whole, folder: Path, name: str, client: RegistryClient, emit: Emit) -> Digest:
    """The layout, which may have other images, lists this one under ``name``."""
    layout = OciLayout(folder, cancel=client.transport.cancel)
    layout.store(_fetched(source, blob, client) for blob in source.blobs())
    layout.store(map(blob_of, source.manifests))
    layout.add(source.top, (name,))
    emit(Exported("oci-layout", str(folder), source.top.digest))
    return source.top.digest


def _fetched(source: Whole, blob: Descriptor, client: RegistryClient) -> NewBlob:
    return blob, lambda: client.open_blob(source.reference, blob)
