"""A small image and a client, as registry tests need them."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import BinaryIO

from gazami.cancel import Cancel
from gazami.errors import NotFoundError
from gazami.events import Emit, discard
from gazami.image.config import encode_config, scratch_config
from gazami.image.digest import digest_of
from gazami.image.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    encode_manifest,
)
from gazami.image.platform import Platform
from gazami.image.reference import Reference
from gazami.registry.client import RegistryClient
from gazami.registry.credentials import Keychain
from gazami.registry.options import RegistryOptions
from gazami.registry.retry import RetryPolicy

AMD64 = Platform("linux", "amd64")
HASTY = RegistryOptions(retry=RetryPolicy(attempts=4, base=0.005))


@dataclass(frozen=True, slots=True)
class SmallImage:
    manifest: Manifest
    blobs: tuple[tuple[Descriptor, bytes], ...]


def client(options: RegistryOptions = HASTY, keychain: Keychain | None = None, emit: Emit = discard) -> RegistryClient:
    return RegistryClient(options, keychain or Keychain(), emit, Cancel())


def has_blob(client: RegistryClient, reference: Reference, descriptor: Descriptor) -> bool:
    """Whether the repository has the blob, and gives its bytes."""
    try:
        return sum(map(len, client.open_blob(reference, descriptor))) == descriptor.size
    except NotFoundError:
        return False


def small_image(platform: Platform = AMD64, *, oci: bool = False, size: int = 10_000) -> SmallImage:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        info = tarfile.TarInfo("data")
        info.size = size
        archive.addfile(info, io.BytesIO(random.Random(str(platform)).randbytes(size)))
    blob = gzip.compress(tar.getvalue(), mtime=0)
    config = replace(scratch_config(platform), diff_ids=(digest_of(tar.getvalue()),))
    raw = encode_config(config)
    layer_type, config_type = (OCI_LAYER_GZIP, OCI_CONFIG) if oci else (DOCKER_LAYER_GZIP, DOCKER_CONFIG)
    layer = Descriptor(layer_type, digest_of(blob), len(blob))
    described = Descriptor(config_type, digest_of(raw), len(raw))
    manifest = encode_manifest(OCI_MANIFEST if oci else DOCKER_MANIFEST, described, (layer,))
    return SmallImage(manifest, ((layer, blob), (described, raw)))


def blob(size: int, seed: int = 0) -> tuple[Descriptor, bytes]:
    data = random.Random(seed).randbytes(size)
    return Descriptor(OCI_LAYER_GZIP, digest_of(data), size), data


def opener(data: bytes) -> Callable[[], BinaryIO]:
    return lambda: io.BytesIO(data)


def push_image(to: RegistryClient, reference: Reference, image: SmallImage) -> None:
    for descriptor, data in image.blobs:
        to.push_blob(reference, descriptor, opener(data))
    to.push_manifest(reference, image.manifest.raw, image.manifest.media_type)
