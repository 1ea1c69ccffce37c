"""An image as a value: a config and layers whose bytes may be far away (idea 2 of the design)."""

from __future__ import annotations

from typing import TypeAlias

from gazami.image.config import History, ImageConfig
from gazami.image.digest import Digest
from gazami.image.manifest import DOCKER_MANIFEST, OCI_MANIFEST, Descriptor
from gazami.image.reference import Reference
from gazami.values import fast_dataclass, replace


@fast_dataclass(frozen=True, slots=True)
class Remote:
    """The blob lies in a repository; any tag or digest in ``reference`` is irrelevant here."""

    reference: Reference


@fast_dataclass(frozen=True, slots=True)
class LocalFile:
    """The blob is a whole local file, exactly as long as its descriptor says. ``made_here``: this build has written it, and size,
    digest and diff id were derived from the bytes on their way."""

    path: str
    made_here: bool = False


Origin: TypeAlias = Remote | LocalFile


@fast_dataclass(frozen=True, slots=True)
class Layer:
    """A layer: the descriptor of its compressed blob, the digest of its tar, and where the blob's bytes are."""

    descriptor: Descriptor
    diff_id: Digest
    origin: Origin

    @property
    def name(self) -> str:
        """What a build calls the layer: by its blob, and by the diff id that somebody says it has. Two images may claim one diff id
        for different bytes, and two diff ids for the same."""
        return layer_name(self.descriptor, self.diff_id)


def layer_name(descriptor: Descriptor, diff_id: Digest) -> str:
    return f"{descriptor.digest} {diff_id}"


@fast_dataclass(frozen=True, slots=True)
class Image:
    """``media_type`` is the manifest's, which decides between OCI's and Docker's types for everything below it."""

    config: ImageConfig
    layers: tuple[Layer, ...] = ()
    media_type: str = DOCKER_MANIFEST

    @property
    def is_oci(self) -> bool:
        return self.media_type == OCI_MANIFEST

    def with_layer(self, layer: Layer, history: History) -> Image:
        """The image with one more layer on top and the history entry that goes with it."""
        config = replace(self.config, diff_ids=(*self.config.diff_ids, layer.diff_id), history=(*self.config.history, history))
        return replace(self, config=config, layers=(*self.layers, layer))

    def with_history(self, history: History) -> Image:
        """The image with a history entry that made no layer."""
        entry = replace(history, empty_layer=True)
        return replace(self, config=replace(self.config, history=(*self.config.history, entry)))
