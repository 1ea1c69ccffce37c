"""One stage as it is built: its image so far, and the files of that as a tree, as a root, or as both.

Tree and root are made when they are first needed; a stage whose steps copy *and* run gets both from the same pass over each
layer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from gazami.builder.clock import Clock
from gazami.builder.files.packer import NewLayer
from gazami.builder.files.trees import names_of
from gazami.builder.stages.root import Roots, StageRoot
from gazami.builder.stages.tree import StageTree
from gazami.builder.stages.work import StepWork
from gazami.image.config import History, ImageConfig
from gazami.image.model import Image, Layer
from gazami.layer.beneath import open_content
from gazami.layer.entry import BytesContent, Kind, LayerContent
from gazami.plan.created_by import COMMENT
from gazami.plan.steps import CopyStep, RunStep, StagePlan, WorkdirStep
from gazami.rootfs.owners import MAX_ACCOUNTS, Accounts, parse_accounts
from gazami.rootfs.tree import Tree
from gazami.values import fast_dataclass, replace

if TYPE_CHECKING:
    from gazami.sandbox.spec import Root

Made = TypeVar("Made")


@fast_dataclass(slots=True)
class Stage:
    """``made`` is when the last layer was made."""

    plan: StagePlan
    image: Image
    tree: StageTree
    roots: Roots
    clock: Clock
    made: datetime | None = None
    unpacked: StageRoot | None = None

    # -- files ----------------------------------------------------------------------------------------------------

    def files(self, work: StepWork | None = None) -> Tree:
        """The tree of all layers so far, for a step's work or for another stage."""
        return self.tree.whole(self.image, self._needed_root(work))

    def onto(self, work: StepWork, do: Callable[[Tree], Made]) -> tuple[Tree, Made]:
        """Do a step's work that copies onto the files so far; the tree that it was done on."""
        return self.tree.onto(self.image, self._needed_root(work), do)

    def lacks_base(self, work: StepWork) -> bool:
        """Whether a step asks for files of the stage's base that are not here yet, as far as that is known without a look."""
        base = self.tree.base
        match work.step:
            case RunStep():
                shows = self.unpacked.layers if self.unpacked is not None else 0
                return shows < len(base) and names_of(base) not in self.roots.unpacked
            case CopyStep() as step:
                alone = step.flags.link and not step.flags.chmod
                return not alone and self.tree.shows < len(base)
            case WorkdirStep():
                return self.tree.shows < len(base)
            case _:
                return False

    def bring_base(self, work: StepWork) -> None:
        """Make the tree or the root that a step will ask for. Raises what the step would."""
        match work.step:
            case RunStep():
                self._root().unpack_missing(self.image, self.tree if work.needs_tree else None)
            case CopyStep() as step if step.flags.chown or step.flags.chmod:
                self.files(work)
            case _:
                self.onto(work, lambda tree: None)

    def root(self, work: StepWork) -> tuple[Root, str]:
        """A root with every layer so far, and the directory in which the command's changes will appear."""
        return self._root().prepare(self.image, self.tree if work.needs_tree else None)

    def accounts(self, work: StepWork) -> Accounts:
        """Users and groups of the stage's files as they are now; none when there are no such files."""
        return parse_accounts(self._small("etc/passwd", work), self._small("etc/group", work))

    def _small(self, path: str, work: StepWork) -> bytes:
        node = self.files(work).resolve(path).node
        if node is None or node.kind is not Kind.FILE or node.size > MAX_ACCOUNTS or node.content is None:
            return b""
        content = node.content
        if isinstance(content, BytesContent):
            return content.data
        if isinstance(content, LayerContent):
            content = self.roots.layers.locate([(content, node.size)])[content]
        with open_content(content) as source:
            return bytes(source.read(node.size))

    def _needed_root(self, work: StepWork | None) -> StageRoot | None:
        return self._root() if work is not None and work.needs_root else None

    def _root(self) -> StageRoot:
        if self.unpacked is None:
            self.unpacked = self.roots.begin()
        return self.unpacked

    # -- the image ------------------------------------------------------------------------------------------------

    def finish_step(self, config: ImageConfig, created_by: str | None, new: NewLayer) -> None:
        """Take over the config that a step was planned to have, its layer and its history entry."""
        self._take_config(config)
        if new.layer is not None:
            self.append(new.layer, created_by, directory=new.directory)
        elif created_by is not None:  # its time comes from the layers around it, when the image is finished
            self.image = self.image.with_history(History(None, created_by, COMMENT))

    def take_layer(self, config: ImageConfig, created_by: str | None, layer: Layer, made: datetime) -> None:
        """Take over a layer of the cache instead of doing a step's work."""
        self._take_config(config)
        self.append(layer, created_by, made=made)

    def append(self, layer: Layer, created_by: str | None, *, directory: str = "", made: datetime | None = None) -> None:
        """Add a layer and its history entry to the image. ``directory`` holds its files already; ``made`` is when the layer was
        made, if that was in an earlier build."""
        self.roots.layers.register(layer)
        self.made = made or self.clock.now()
        self.image = self.image.with_layer(layer, History(self.clock.timestamp(self.made), created_by or "", COMMENT))
        if directory and self.unpacked is not None:
            self.unpacked.add(names_of(self.image.layers), directory)

    def join(self, layer: Layer, base: int) -> None:
        """Replace all layers above the first ``base`` ones by one (``--single-snapshot``); of their history entries the last keeps
        a layer."""
        self.tree.join(self.image, base)
        config, below = self.image.config, self.image.layers[:base]
        history = list(config.history)
        seen = 0
        for position in range(len(history) - 1, -1, -1):
            if not history[position].empty_layer:
                seen += 1
                if 1 < seen <= len(self.image.layers) - base:
                    history[position] = replace(history[position], empty_layer=True)
        config = replace(config, diff_ids=(*config.diff_ids[:base], layer.diff_id), history=tuple(history))
        self.image = replace(self.image, config=config, layers=(*below, layer))

    def _take_config(self, planned: ImageConfig) -> None:
        """Take a step's config over, keeping the layers and the history that the build made."""
        config = replace(planned, diff_ids=self.image.config.diff_ids, history=self.image.config.history)
        self.image = replace(self.image, config=config)
