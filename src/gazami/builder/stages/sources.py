"""The files that ``--from`` can name, as indexes: the context, stages, images and further contexts."""

from __future__ import annotations

import threading
from typing import assert_never

from gazami.builder.inputs.named import image_layers, named_context
from gazami.builder.stages.state import PARALLEL, StageState
from gazami.builder.tools import Tools
from gazami.plan.steps import ContextSource, FilesFrom, ImageBase, ImageSource, NamedSource, StageSource
from gazami.registry.resolved import Resolved
from gazami.rootfs.tree import Tree
from gazami.values import dataclass, field


@dataclass(slots=True)
class Sources:
    """``stages`` are those that were built so far, by index."""

    tools: Tools
    stages: dict[int, StageState] = field(default_factory=dict)

    def tree_of(self, files: FilesFrom) -> Tree:
        """Raises :class:`GazamiError` kinds when the files cannot be had."""
        with self.lock(files):
            match files:
                case ContextSource():
                    return self.tools.context
                case StageSource(index):
                    return self.stages[index].index()
                case ImageSource(image):
                    return self._image_tree(image)
                case NamedSource(name):
                    return named_context(name, self.tools)
            assert_never(files)

    def lock(self, files: FilesFrom) -> threading.RLock:
        """Held by whoever makes the index of a source, or copies it."""
        return self.tools.locks.of("source", files)

    def _image_tree(self, image: ImageBase) -> Tree:
        resolved = self.tools.images[image]
        with self.tools.locks.of("index", resolved.config.diff_ids):  # a stage may be built from it at the same time
            return self._read_image(image, resolved)

    def _read_image(self, image: ImageBase, resolved: Resolved) -> Tree:
        chain = resolved.config.diff_ids
        known = self.tools.base_trees.get(chain)
        if known is None:
            layers = [self.tools.layers.register(layer, pinned=True) for layer in image_layers(image, resolved)]
            known = self.tools.indexes.load(chain)
            if known is None:
                known = Tree()
                for number, layer in enumerate(layers):
                    self.tools.layers.prefetch(layers[number : number + PARALLEL])
                    self.tools.layers.ingest(layer, known, None)
                self.tools.indexes.save(chain, known)
            self.tools.base_trees[chain] = known
        return known
