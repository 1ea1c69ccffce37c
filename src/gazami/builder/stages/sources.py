"""What steps copy from and stages begin with: the context, other stages, images and named contexts."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import assert_never

from gazami.builder.clock import Clock
from gazami.builder.files.trees import Trees
from gazami.builder.inputs.fetched import Fetched
from gazami.builder.inputs.layout_images import image_layers
from gazami.builder.stages.root import Roots
from gazami.builder.stages.stage import Stage
from gazami.builder.stages.tree import StageTree
from gazami.image.config import History
from gazami.image.model import Image, Layer
from gazami.plan.steps import (
    ContextSource,
    FilesFrom,
    ImageBase,
    ImageSource,
    NamedSource,
    ScratchBase,
    StageBase,
    StagePlan,
    StageSource,
)
from gazami.registry.resolved import Resolved
from gazami.rootfs.folder import FolderTree
from gazami.rootfs.tree import Tree
from gazami.values import fast_dataclass, field, replace


@fast_dataclass(slots=True)
class Sources:
    """``stages`` are those that were built so far, by number."""

    context: FolderTree
    images: Mapping[ImageBase, Resolved]
    trees: Trees
    fetched: Fetched
    stages: dict[int, Stage] = field(default_factory=dict)

    def tree_of(self, files: FilesFrom) -> Tree:
        """Raises :class:`GazamiError` kinds when the files are missing."""
        with self._lock(files):
            match files:
                case ContextSource():
                    return self.context
                case StageSource(number):
                    return self.stages[number].files()
                case ImageSource(image):
                    return self.trees.of_image(self._image_layers(image))
                case NamedSource(name):
                    return self.fetched.context(name)
            assert_never(files)

    def begin(self, stage: StagePlan, media_type: str, roots: Roots, clock: Clock) -> Stage:
        """A stage before its first step."""
        match stage.base:
            case ScratchBase():
                return Stage(stage, Image(stage.config, (), media_type), StageTree(self.trees), roots, clock)
            case ImageBase():
                resolved = self.images[stage.base]
                config = replace(stage.config, diff_ids=resolved.config.diff_ids, history=_repaired(resolved))
                image = Image(config, self._image_layers(stage.base), media_type)
                return Stage(stage, image, StageTree(self.trees, image.layers), roots, clock)
            case StageBase(number):
                parent = self.stages[number]
                made = parent.image.config
                config = replace(stage.config, diff_ids=made.diff_ids, history=made.history)
                image = replace(parent.image, media_type=media_type, config=config)
                with self._lock(StageSource(number)):
                    tree = parent.tree.begun_from(len(made.diff_ids))
                return Stage(stage, image, tree, roots, clock)

    def _lock(self, files: FilesFrom) -> threading.RLock:
        """Held while the tree of a source is made or copied."""
        return self.trees.lock(files)

    def _image_layers(self, image: ImageBase) -> tuple[Layer, ...]:
        layers = image_layers(image, self.images[image])
        return tuple(self.trees.layers.register(layer, pinned=True) for layer in layers)


def _repaired(resolved: Resolved) -> tuple[History, ...]:
    """The base's history with exactly one non-empty entry a layer, as exporters repair it."""
    history = list(resolved.config.history)
    missing = len(resolved.config.diff_ids) - sum(not entry.empty_layer for entry in history)
    for _ in range(missing):
        history.append(History(resolved.config.created, "", "gazami.base"))
    surplus = -missing
    for position in range(len(history) - 1, -1, -1):
        if surplus > 0 and not history[position].empty_layer:
            history[position] = replace(history[position], empty_layer=True)
            surplus -= 1
    return tuple(history)
