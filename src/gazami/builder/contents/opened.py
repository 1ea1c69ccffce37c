"""One image for one platform, wherever it lies, with a way to the bytes of its layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gazami.builder.outputs.publish import Stored, chosen
from gazami.errors import IntegrityError, NotFoundError
from gazami.image.digest import verified
from gazami.image.reference import Reference
from gazami.layer.blobs import chunks_of
from gazami.registry.resolved import check_is_image, check_layers
from gazami.values import fast_dataclass

if TYPE_CHECKING:
    from gazami.image.config import ImageConfig
    from gazami.image.digest import Digest
    from gazami.image.manifest import Descriptor, Manifest
    from gazami.image.platform import Platform
    from gazami.registry.client import RegistryClient

ReadBlob: TypeAlias = "Callable[[Descriptor], Iterator[bytes]]"
"""The bytes of a blob as it is stored, in chunks. The end is reached only where they have the digest."""


@fast_dataclass(frozen=True, slots=True)
class Opened:
    """An image whose layers have not been read. ``name`` is what the user called it, ``digest`` that of its manifest."""

    name: str
    manifest: Manifest
    config: ImageConfig
    read: ReadBlob

    @property
    def digest(self) -> Digest:
        return self.manifest.digest


def open_remote(reference: Reference, platform: Platform, client: RegistryClient) -> Opened:
    """An image of a registry; its layers are streamed. Raises what the registry says."""
    found = client.resolve(reference, platform)
    return Opened(str(reference), found.manifest, found.config, partial(client.open_blob, reference))


def open_stored(stored: Stored, platform: Platform, name: str) -> Opened:
    """An image of a layout or an archive. Raises :class:`UsageError`, :class:`RegistryError`, :class:`IntegrityError`."""
    manifest, config, _ = chosen(stored, platform, name)
    here = Reference("layout.invalid", "image", None, manifest.digest)
    check_is_image(here, manifest)
    check_layers(here, manifest, config)
    return Opened(name, manifest, config, lambda blob: _verified_file(stored.file(blob.digest), blob, name))


def _verified_file(path: Path, blob: Descriptor, name: str) -> Iterator[bytes]:
    def wrong(found: str) -> IntegrityError:
        return IntegrityError(f"the blob {blob.digest} of {name} is damaged: it has {found}")

    try:
        yield from verified(chunks_of(path), blob.digest, blob.size, wrong)
    except FileNotFoundError:
        hint = "a foreign layer is only in the place that its URLs name" if blob.urls else None
        raise NotFoundError(f"{name} has no blob {blob.digest}", hint=hint) from None
