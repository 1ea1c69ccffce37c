"""What a reference turned out to be, and the refusals on the way there. No I/O."""

from __future__ import annotations

from gazami.errors import IntegrityError, NotFoundError, RegistryError
from gazami.image.config import ImageConfig
from gazami.image.digest import Digest, digest_of, is_digest, matches
from gazami.image.manifest import DOCKER_CONFIG, OCI_CONFIG, Descriptor, Index, Manifest, choose_manifest
from gazami.image.platform import Platform
from gazami.image.reference import Reference
from gazami.values import fast_dataclass

NESTING = 4
"""Indexes in indexes that are followed; one that contains itself ends there."""


@fast_dataclass(frozen=True, slots=True)
class Resolved:
    """An image for one platform. ``digest`` is the manifest's and pins the image; ``index_digest`` is the digest of
    the outermost index that it was chosen from, None when the reference names the manifest itself."""

    reference: Reference
    manifest: Manifest
    digest: Digest
    index_digest: Digest | None
    config: ImageConfig
    config_raw: bytes


def verify_manifest(reference: Reference, raw: bytes, announced: str | None) -> None:
    """Check the bytes against the reference's digest, else against the registry's Docker-Content-Digest header.

    Raises :class:`IntegrityError`.
    """
    if reference.digest is not None:
        if not matches(raw, reference.digest):
            raise IntegrityError(f"the manifest of {reference} has the digest {digest_of(raw)}")
    elif announced and is_digest(announced) and not matches(raw, announced):
        raise IntegrityError(f"the manifest of {reference} has the digest {digest_of(raw)}, the registry announced {announced}")


def choose(reference: Reference, index: Index, platform: Platform) -> Descriptor:
    """Raises :class:`NotFoundError` listing the platforms that there are."""
    chosen = choose_manifest(index, platform)
    if chosen is not None:
        return chosen
    names = sorted({str(each.platform) for each in index.manifests if each.platform and each.platform.os != "unknown"})
    raise NotFoundError(
        f"{reference} has no image for {platform}; it has {', '.join(names) or 'no platforms'}",
        hint="choose one of them with --platform (kaniko's --custom-platform)" if names else None,
    )


def check_is_image(reference: Reference, manifest: Manifest) -> None:
    """Raises :class:`RegistryError` for an artifact: a chart, a signature, an attestation, a cache."""
    if manifest.config.media_type in (OCI_CONFIG, DOCKER_CONFIG):
        return
    kind = manifest.artifact_type or manifest.config.media_type or "of no type"
    raise RegistryError(
        f"{reference} is not a container image but an artifact ({kind})", hint="name an image in FROM and COPY --from"
    )


def check_layers(reference: Reference, manifest: Manifest, config: ImageConfig) -> None:
    """Raises :class:`IntegrityError` when manifest and config do not speak of the same layers."""
    if len(manifest.layers) != len(config.diff_ids):
        raise IntegrityError(
            f"{reference} is damaged: its manifest has {len(manifest.layers)} layers, its config {len(config.diff_ids)}"
        )
