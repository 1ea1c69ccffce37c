"""Trees of images, for the stages that begin with them and the copies from them: read once in a build, kept for later builds."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from gazami.builder.files.kept_trees import KeptTrees
from gazami.builder.files.layer_files import LayerFiles
from gazami.image.model import Layer
from gazami.rootfs.kept_tree import Members
from gazami.rootfs.tree import Tree
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from gazami.builder.files.contents_tables import ContentsTables

Chain = tuple[str, ...]
"""The names of an image's layers, lowest first."""

PARALLEL = 3
"""Layers that are fetched and decompressed at the same time."""


def names_of(layers: Iterable[Layer]) -> Chain:
    """By which trees and unpacked directories are known: the bytes that they were read from, which were checked, and what they call
    the files' contents. A base's diff ids are what its config says, and are checked where its layers are unpacked."""
    return tuple(layer.name for layer in layers)


@fast_dataclass(slots=True)
class Locks:
    """Locks by name, for work that several threads may ask for at the same time and one should do."""

    _all: dict[Hashable, threading.RLock] = field(default_factory=dict)
    _own: threading.Lock = field(default_factory=threading.Lock)

    def of(self, name: Hashable) -> threading.RLock:
        with self._own:
            return self._all.setdefault(name, threading.RLock())


@fast_dataclass(slots=True)
class Trees:
    """``shared`` are the images, by their layers' names, whose tree several stages or copies ask for; theirs stay in memory."""

    layers: LayerFiles
    kept: KeptTrees
    shared: frozenset[Chain] = frozenset()
    _known: dict[Chain, Tree] = field(default_factory=dict)
    _tables: ContentsTables | None = None
    _locks: Locks = field(default_factory=Locks)

    @property
    def tables(self) -> ContentsTables:
        """The tables of contents of the bases' layers."""
        if self._tables is None:
            from gazami.builder.files.contents_tables import ContentsTables

            self._tables = ContentsTables(self.layers.blobs)
        return self._tables

    def lock(self, name: Hashable) -> threading.RLock:
        """Held while the tree of an image, or of one stage, is made."""
        return self._locks.of(name)

    def is_shared(self, layers: Sequence[Layer]) -> bool:
        return names_of(layers) in self.shared

    def begin(self, layers: Sequence[Layer]) -> Tree | None:
        """A tree of an image for a stage to go on with, if this build or an earlier one on this machine has made it."""
        chain = names_of(layers)
        if (known := self._known.get(chain)) is not None:
            return known.copy()
        kept = self.kept.load(layers)
        if kept is not None and chain in self.shared:
            self._known[chain] = kept.copy()
        return kept

    def complete(self, layers: Sequence[Layer], tree: Tree, *, base: bool) -> None:
        """``tree`` shows an image's layers and nothing else; the tree of a ``base`` is kept for later builds."""
        if base:
            self.kept.save(layers, tree)
        if (chain := names_of(layers)) in self.shared:
            self._known[chain] = tree.copy()

    def of_image(self, layers: Sequence[Layer]) -> Tree:
        """The tree of an image that files are copied from. Do not change it."""
        chain = names_of(layers)
        with self.lock(chain):  # a stage may be built from it at the same time
            tree = self._known.get(chain) or self.kept.load(layers)
            if tree is None:
                tree = Tree()
                for number, layer in enumerate(layers):
                    self.layers.list_ahead(layers[number : number + PARALLEL])
                    self.layers.learn(layer, tree)
                self.kept.save(layers, tree)
            self._known[chain] = tree
            return tree

    def learn(self, layer: Layer, tree: Tree, ahead: Iterable[Layer], *, own: bool) -> None:
        """Apply a layer to a tree: from its kept members, else from its bytes. ``ahead`` are the layers that come next; ``own`` is
        a layer above the base, whose members a cache may want."""
        if self.kept.apply(layer, tree):
            return
        self.layers.list_ahead([each for each in ahead if not (self.kept.is_cached(each.diff_id) or self.kept.has(each.diff_id))])
        members: Members | None = [] if own and self.kept.is_shared else None
        self.layers.learn(layer, tree, members)
        if members is not None and self.layers.has_checked(layer):
            self.kept.save_layer(layer.diff_id, members)
