"""The files of one stage so far, as a tree that is made when it is first needed.

A copy onto the stage looks at its destination alone. A layer cache's tree may be enough for that (``rootfs.unverified``), or the
tables of contents of the base's layers (``files.contents_tables``). A copy from the stage gets a tree read from the layers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from gazami.builder.files.trees import PARALLEL, Trees, names_of
from gazami.errors import ArchiveError, ContextError, DockerfileError
from gazami.image.model import Image, Layer
from gazami.rootfs.tree import Tree
from gazami.rootfs.unverified import UnverifiedTree
from gazami.values import fast_dataclass, field

Made = TypeVar("Made")


class Unpacking(Protocol):
    """A root that reads the layers it lacks, and shows them to a tree on the way."""

    def unpack_missing(self, image: Image, tree: StageTree | None) -> None: ...


@fast_dataclass(slots=True)
class StageTree:
    """``base`` are the layers of the image that the stage is built from, ``shows`` counts the layers that ``tree`` shows.
    ``confirmed``: they were read from layers, here or in an earlier build on this machine."""

    trees: Trees
    base: tuple[Layer, ...] = ()
    tree: Tree = field(default_factory=Tree)
    shows: int = 0
    confirmed: bool = True

    def whole(self, image: Image, root: Unpacking | None) -> Tree:
        """The tree of all layers. A ``root`` that this step or a later one runs in is made by the same pass over each layer."""
        with self._lock():
            return self._whole(image, root)

    def onto(self, image: Image, root: Unpacking | None, work: Callable[[Tree], Made]) -> tuple[Tree, Made]:
        """Do work that copies onto the files so far; the tree that it was done on. ``work`` is done again, at last on a tree read
        from the layers, where a cache's tree might have been wrong."""
        with self._lock():
            for begin in () if root is not None else (self._take_said, self._take_tables):
                try:
                    tree = self._destination(image, begin)
                    doubts = tree.doubts if isinstance(tree, UnverifiedTree) else []
                    doubts.clear()
                    made = work(tree)
                    if not doubts:
                        return tree, made
                except (ArchiveError, ContextError, DockerfileError):
                    if self.confirmed:
                        raise
                self.forget()
            tree = self._whole(image, root)
        return tree, work(tree)

    def show_base(self) -> None:
        """Take the tree of the base, if another stage or an earlier build made it."""
        if self.base and not self.shows and self.confirmed and (known := self.trees.begin(self.base)) is not None:
            self.tree, self.shows = known, len(self.base)

    def show_one(self, image: Image) -> None:
        """Count a layer that was applied to the tree."""
        self._show_one(image.layers)

    def _show_one(self, layers: tuple[Layer, ...]) -> None:
        self.shows += 1
        if self.confirmed:
            self.trees.complete(layers[: self.shows], self.tree, base=self.shows == len(self.base))

    def applied(self) -> None:
        """Count a new layer whose changes the tree shows already."""
        self.shows += 1

    def join(self, image: Image, base: int) -> None:
        """All layers of ``image`` above the first ``base`` ones become one."""
        if self.shows == len(image.layers):
            self.shows = base + 1
        elif self.shows > base:  # it shows a part of what is one layer now
            self.forget()

    def forget(self) -> None:
        """Free the memory; the tree can be made again."""
        self.tree, self.shows, self.confirmed = Tree(), 0, True

    def begun_from(self, layers: int) -> StageTree:
        """The tree of a stage that is built from this one, where the parent's shows all its ``layers``; else a new one."""
        if self.confirmed and self.shows == layers:
            return StageTree(self.trees, self.base, self.tree.copy(), self.shows)
        return StageTree(self.trees, self.base)

    def _lock(self) -> threading.RLock:
        return self.trees.lock(names_of(self.base) if self.trees.is_shared(self.base) else id(self))

    def _whole(self, image: Image, root: Unpacking | None) -> Tree:
        if not self.confirmed:
            self.forget()
        self.show_base()
        if root is not None and self.shows < len(image.layers):
            root.unpack_missing(image, self)
        self._learn_missing(image)
        return self.tree

    def _take_said(self) -> None:
        """Begin with what a cache says of the base, else with the base's tables."""
        said = self.trees.kept.load_unverified(self.base)
        if said is None:
            self._take_tables()
        else:
            self.tree, self.shows, self.confirmed = said, len(self.base), False

    def _take_tables(self) -> None:
        """Begin with the tables of contents of the base's layers, if they have them; small layers are read."""
        tables = self.trees.tables
        if not tables.read(self.base):
            return
        self.confirmed = False
        for number, layer in enumerate(self.base):
            if tables.apply(layer, self.tree):
                self.shows += 1
            else:
                self._learn(self.base, number)

    def _destination(self, image: Image, begin: Callable[[], None]) -> Tree:
        kept = self.trees.kept
        self.show_base()
        if not self.shows and self.base:
            begin()
        for number in range(self.shows, len(image.layers)):
            layer = image.layers[number]
            if number >= len(self.base) and not kept.has(layer.diff_id):
                self.confirmed = self.confirmed and not kept.is_cached(layer.diff_id)
                if kept.apply_unverified(layer, self.tree):
                    self.shows += 1
                    continue
            self._learn(image.layers, number)
        return self.tree

    def _learn_missing(self, image: Image) -> None:
        for number in range(self.shows, len(image.layers)):
            self._learn(image.layers, number)

    def _learn(self, layers: tuple[Layer, ...], number: int) -> None:
        layer, ahead = layers[number], layers[number : number + PARALLEL]
        self.trees.learn(layer, self.tree, ahead, own=number >= len(self.base))
        self._show_one(layers)
