"""The trees of warmed bases: listed once, for all builds that copy onto them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from gazami.builder.cached.stores import file_blobs
from gazami.builder.files.blob_files import BlobFiles
from gazami.builder.files.kept_trees import shared_form, tag_of
from gazami.builder.files.layer_files import apply_members
from gazami.builder.files.listed import ListedLayers
from gazami.builder.files.trees import PARALLEL
from gazami.builder.inputs.base_cache import BaseCache
from gazami.builder.inputs.layout_images import image_layers
from gazami.cache.entry import CacheEntry, FileList
from gazami.cache.store import CacheStore
from gazami.cancel import Cancel
from gazami.errors import Cancelled, GazamiError
from gazami.events import Emit, Message
from gazami.image.model import Layer
from gazami.layer.blobs import BlobStore
from gazami.plan.steps import ImageBase
from gazami.registry.client import RegistryClient
from gazami.registry.resolved import Resolved
from gazami.rootfs.tree import Tree
from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class WarmedTrees:
    """``layers`` is a layer cache that gets them too, if there is one."""

    cache: BaseCache
    client: RegistryClient
    layers: CacheStore | None
    emit: Emit
    cancel: Cancel

    def store(self, image: Resolved) -> None:
        """List the files of an image that the directory has, unless they are listed. What fails is a warning: a build that needs
        the list makes its own."""
        try:
            self._store(image)
        except Cancelled:
            raise
        except GazamiError as error:
            self.emit(Message("warning", f"cannot list the files of {image.reference}: {error}"))

    def _store(self, image: Resolved) -> None:
        layers = image_layers(ImageBase(str(image.reference), image.config.platform), image)
        tag, local = tag_of(layers), self.cache.blobs(image)
        data = self.cache.read_tree(tag)
        if data is None and len(local) == len({layer.descriptor.digest for layer in layers}):
            with tempfile.TemporaryDirectory(prefix="gazami-warm-") as place:
                blobs = BlobFiles(BlobStore(Path(place)), self.client, self.cancel, local)
                _, data = shared_form(layers, _listed(layers, blobs))
            if data is not None:
                self.cache.write_tree(tag, data)
        if data is not None and self.layers is not None:
            entry = CacheEntry(datetime.now(UTC), text="the files of an image", files=FileList.of(data))
            if self.layers.get(tag) is None:
                self.layers.put((tag,), entry, file_blobs(entry))


def _listed(layers: Sequence[Layer], blobs: BlobFiles) -> Tree:
    """The files of an image, read from its layers. Raises :class:`IntegrityError` and :class:`ArchiveError`."""
    tree, listed = Tree(), ListedLayers(blobs)
    try:
        for number, layer in enumerate(layers):
            listed.ahead((each, False) for each in layers[number : number + PARALLEL])
            with contextlib.closing(listed.members(layer, checked=False)) as members:
                apply_members(layer.name, members, tree)
    finally:
        listed.close()
    return tree
