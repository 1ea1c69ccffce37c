"""A build context as an artifact in a registry: one layer with the files, named by digest (``registry://NAME@sha256:…``).

It is how ``gazami submit`` gets a folder to a builder elsewhere: both can reach the registry of the destination anyway. The
manifest names its build, so that each build may delete its own, while the layer is the same blob for the same files and
is not uploaded twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from gazami.errors import ContextError, UsageError
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_MANIFEST, Descriptor, Manifest, encode_manifest
from gazami.image.reference import Reference, parse_reference
from gazami.registry.client import RegistryClient

ARTIFACT = "application/vnd.gazami.context.v1+json"
"""The media type of the artifact's config, which is the empty JSON object."""

EMPTY = b"{}"
CONFIG = Descriptor(ARTIFACT, digest_of(EMPTY), len(EMPTY))
_BUILD = "dev.gazami.context.build"


def encode_context(layer: Descriptor, build: str) -> Manifest:
    """The artifact of a layer for one build."""
    return encode_manifest(OCI_MANIFEST, CONFIG, (layer,), ((_BUILD, build),))


def artifact_reference(rest: str) -> Reference:
    """What stands behind ``registry://``. Raises :class:`UsageError` for a name without a digest: a tag may change meanwhile."""
    reference = parse_reference(rest)
    if reference.digest is None:
        raise UsageError(
            f"the context registry://{rest} has no digest", hint="write registry://REPOSITORY@sha256:…, as gazami submit does"
        )
    return reference


def open_artifact(reference: Reference, client: RegistryClient) -> Iterator[bytes]:
    """The layer's bytes, checked against both digests. Raises :class:`ContextError` for something else than a context."""
    found = client.get_manifest(reference)
    if not isinstance(found, Manifest) or found.config.media_type != ARTIFACT or len(found.layers) != 1:
        raise ContextError(f"{reference} is not a build context", hint="give one that gazami submit pushed")
    yield from client.open_blob(reference, found.layers[0])
