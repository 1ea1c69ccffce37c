"""The unpacked files of one stage, for its commands: a directory for each layer, or one plain directory without overlay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gazami.builder.files.layer_files import LayerFiles
from gazami.builder.files.trees import PARALLEL, Chain, Locks, names_of
from gazami.builder.request import SnapshotOptions
from gazami.builder.stages.isolation import Isolation
from gazami.builder.stages.tree import StageTree
from gazami.errors import SpaceError
from gazami.image.model import Image, Layer
from gazami.rootfs.requests import ScanRequest
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from gazami.sandbox.spec import Root


@fast_dataclass(slots=True)
class Roots:
    """What the roots of a build's stages share. ``ignore`` are paths without a leading slash that snapshots leave out."""

    isolation: Isolation
    layers: LayerFiles
    snapshot: SnapshotOptions
    ignore: tuple[str, ...]
    unpacked: dict[Chain, str] = field(default_factory=dict)
    """Directories of unpacked layers, by the layer and all below it."""
    locks: Locks = field(default_factory=Locks)

    def begin(self) -> StageRoot:
        """A root without any layer yet. Starts the sandbox, if this is the first one."""
        if self.isolation.sandbox.choice.overlay:
            return StageRoot(self)
        return StageRoot(self, self.isolation.new_directory("root"), self.layers.workspace.new_path("list"))


@fast_dataclass(slots=True)
class StageRoot:
    """``overlay`` is the directory of each layer so far, lowest first. Without overlay ``plain`` is the one root directory, and
    ``listing`` the file with the last scan's records. ``layers`` counts the image's layers that are unpacked."""

    roots: Roots
    plain: str = ""
    listing: str = ""
    overlay: list[str] = field(default_factory=list)
    layers: int = 0

    def prepare(self, image: Image, tree: StageTree | None) -> tuple[Root, str]:
        """A root with every layer of the image, and the directory in which the next command's changes will appear. ``tree``
        learns of the layers on the way, where this step or a later one needs it."""
        from gazami.sandbox.spec import OverlayRoot, PlainRoot

        self.unpack_missing(image, tree)
        if self.plain:
            return PlainRoot(self.plain), self.plain
        upper, work = self.roots.isolation.new_directories("upper", "work")
        return OverlayRoot(tuple(reversed(self.overlay)), upper, work), upper

    def add(self, chain: Chain, directory: str) -> None:
        """Count the layer that is the last of ``chain``, whose files lie in ``directory``."""
        self.layers = len(chain)
        if not self.plain:
            self.overlay.append(directory)
            self.roots.unpacked[chain] = directory
            if self.roots.isolation.files_are_readable:
                self.roots.layers.directories.setdefault(chain[-1], directory)

    def unpack_missing(self, image: Image, tree: StageTree | None) -> None:
        """Unpack the image's layers that the root lacks; ``tree`` learns of them from the same bytes."""
        changed = False
        if tree is not None:
            tree.show_base()
        for number in range(self.layers, len(image.layers)):
            chain = names_of(image.layers[: number + 1])
            with self.roots.locks.of(id(self) if self.plain else chain):
                directory = None if self.plain else self.roots.unpacked.get(chain)
                if directory is None:
                    directory = self._unpack(image, number, tree)
                    changed = True
                self.add(chain, directory)
        if self.plain and (changed or not Path(self.listing).exists()):
            request = ScanRequest(self.plain, self.listing, self.roots.snapshot.mode, ignore=self.roots.ignore)
            self.roots.isolation.sandbox.call(request)

    def _unpack(self, image: Image, number: int, tree: StageTree | None) -> str:
        """Unpack one layer; its directory."""
        directory = self.plain or self.roots.isolation.new_directory("layer")
        learning = tree if tree is not None and tree.shows == number else None
        unpacker = self.roots.isolation.layer_unpacker(directory, reversed(self.overlay))
        layers = self.roots.layers
        layers.prefetch(self._to_unpack(image, number))
        try:
            layers.ingest(image.layers[number], learning.tree if learning else None, unpacker)
        except SpaceError:
            if self.plain or learning is not None or not layers.workspace.leave_memory():
                raise
            return self._unpack(image, number, tree)
        if learning is not None:
            learning.show_one(image)
        return directory

    def _to_unpack(self, image: Image, number: int) -> list[Layer]:
        """The layer to unpack now and the ones that are next, up to one that is unpacked already."""
        found: list[Layer] = []
        for position in range(number, min(number + PARALLEL, len(image.layers))):
            if not self.plain and names_of(image.layers[: position + 1]) in self.roots.unpacked:
                break
            found.append(image.layers[position])
        return found
