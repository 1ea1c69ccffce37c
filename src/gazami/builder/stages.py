"""The stages of a plan, one after the other, and the indexes that they share."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import assert_never

from gazami.builder.execute import execute
from gazami.builder.export import Exporter
from gazami.builder.named import image_layers, named_context
from gazami.builder.squash import squash
from gazami.builder.stage import StageState
from gazami.builder.tools import Tools
from gazami.errors import GazamiError
from gazami.events import (
    Message,
    StageFinished,
    StageStarted,
    StepFailed,
    StepFinished,
    StepId,
    StepStarted,
)
from gazami.image.config import History
from gazami.image.digest import Digest
from gazami.image.manifest import DOCKER_MANIFEST, OCI_MANIFEST
from gazami.image.model import Image
from gazami.plan.steps import (
    ContextSource,
    CopyStep,
    FilesFrom,
    ImageBase,
    ImageSource,
    NamedSource,
    Plan,
    RunStep,
    ScratchBase,
    StageBase,
    StagePlan,
    StageSource,
    WorkdirStep,
    sources_of,
)
from gazami.registry.resolved import Resolved
from gazami.registry.transfer import Uploads
from gazami.rootfs.tree import Tree


@dataclass(slots=True)
class Stages:
    """The plan's stages on their way to the image."""

    plan: Plan
    tools: Tools
    exporter: Exporter
    uploads: Uploads

    def build(self) -> Image:
        """Build the plan's stages in order; the target's image."""
        states: dict[int, StageState] = {}
        chain = self._final_chain()
        for stage in self.plan.stages:
            states[stage.index] = self._stage(stage, states, final=stage.index in chain)
        return states[self.plan.target].image

    def _final_chain(self) -> set[int]:
        """The stages whose layers are in the result: the target and the stages it is built from."""
        chain = {self.plan.target}
        stage = self.plan.stage(self.plan.target)
        while isinstance(stage.base, StageBase):
            chain.add(stage.base.index)
            stage = self.plan.stage(stage.base.index)
        return chain

    def _stage(self, stage: StagePlan, states: dict[int, StageState], *, final: bool) -> StageState:
        tools = self.tools
        started = time.monotonic()
        tools.emit(StageStarted(stage.index, stage.name, stage.base_text, len(stage.steps)))
        state = self._start(stage, states)
        own = len(state.image.layers)
        needed_later = _is_source(self.plan, stage)
        single = tools.request.snapshot.single
        for position in range(len(stage.steps)):
            tools.cancel.check()
            left = stage.steps[position:]
            state.wants_tree = needed_later or any(isinstance(each, CopyStep | WorkdirStep) for each in left)
            state.wants_root = any(isinstance(each, RunStep) for each in left)
            self._step(position, stage, state, states)
            if final and not single:
                self.exporter.upload_layers(state.image, self.uploads)
        if single and len(state.image.layers) - own > 1:
            _squash_stage(state, own)
        if final:
            self.exporter.upload_layers(state.image, self.uploads)
        tools.emit(StageFinished(stage.index, time.monotonic() - started))
        return state

    def _step(self, position: int, stage: StagePlan, state: StageState, states: dict[int, StageState]) -> None:
        step = stage.steps[position]
        emit = self.tools.emit
        identity = StepId(stage.index, step.common.number)
        emit(StepStarted(identity, len(stage.steps), step.common.text, step.common.span))
        started = time.monotonic()
        try:
            done = execute(step, state, lambda files: self._tree_of(files, states))
        except GazamiError as error:
            emit(StepFailed(identity, time.monotonic() - started, error.message))
            raise
        size = done.layer.descriptor.size if done.layer is not None else None
        emit(StepFinished(identity, time.monotonic() - started, False, size, done.files))

    def _start(self, stage: StagePlan, states: dict[int, StageState]) -> StageState:
        media_type = OCI_MANIFEST if self.tools.packing.oci else DOCKER_MANIFEST
        match stage.base:
            case ScratchBase():
                return StageState(stage, Image(stage.config, (), media_type), self.tools)
            case ImageBase():
                state = StageState(stage, self._base_image(stage.base, stage), self.tools)
                known = self.tools.base_trees.get(state.image.config.diff_ids)
                if known is not None:
                    state.tree, state.indexed = known.copy(), len(state.image.layers)
                return state
            case StageBase(index):
                parent = states[index]
                image = replace(parent.image, media_type=media_type)
                state = StageState(stage, image, self.tools)
                state.take_config(stage.config)
                if parent.indexed == len(parent.image.layers):
                    state.tree, state.indexed = parent.tree.copy(), parent.indexed
                return state

    def _base_image(self, base: ImageBase, stage: StagePlan) -> Image:
        resolved = self.tools.images[base]
        layers = tuple(self.tools.layers.register(layer) for layer in image_layers(base, resolved))
        config = replace(stage.config, diff_ids=resolved.config.diff_ids, history=_repaired(resolved))
        return Image(config, layers, OCI_MANIFEST if self.tools.packing.oci else DOCKER_MANIFEST)

    def _tree_of(self, files: FilesFrom, states: dict[int, StageState]) -> Tree:
        match files:
            case ContextSource():
                return self.tools.context
            case StageSource(index):
                return states[index].index()
            case ImageSource(image):
                return self._image_tree(image)
            case NamedSource(name):
                return named_context(name, self.tools)
        assert_never(files)

    def _image_tree(self, image: ImageBase) -> Tree:
        resolved = self.tools.images[image]
        chain = resolved.config.diff_ids
        known = self.tools.base_trees.get(chain)
        if known is None:
            known = Tree()
            for layer in image_layers(image, resolved):
                self.tools.layers.ingest(layer, known, None)
            self.tools.base_trees[chain] = known
        return known


def shared_bases(plan: Plan, images: dict[ImageBase, Resolved]) -> frozenset[tuple[Digest, ...]]:
    """The layers of images whose index several stages (or copies) ask for."""
    used = [stage.base for stage in plan.stages if isinstance(stage.base, ImageBase) and _asks_for_index(plan, stage)]
    used += {files.image for stage in plan.stages for files in sources_of(stage) if isinstance(files, ImageSource)}
    chains = [images[base].config.diff_ids for base in used]
    return frozenset(chain for chain in chains if chains.count(chain) > 1)


def _asks_for_index(plan: Plan, stage: StagePlan) -> bool:
    return _is_source(plan, stage) or any(isinstance(step, CopyStep | WorkdirStep) for step in stage.steps)


def _is_source(plan: Plan, stage: StagePlan) -> bool:
    """Whether another stage copies from this one, or is built from it and may."""
    return any(
        StageSource(stage.index) in sources_of(other) or other.base == StageBase(stage.index) for other in plan.stages
    )


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


def _squash_stage(state: StageState, own: int) -> None:
    """Replace a stage's own layers by one (``--single-snapshot``); its last non-empty history entry keeps the layer."""
    tools = state.tools
    tools.emit(Message("info", f"--single-snapshot: joining {len(state.image.layers) - own} layers into one"))
    layer = tools.layers.register(squash(state.image.layers[own:], tools.layers, tools.packing))
    history = list(state.image.config.history)
    seen = 0
    for position in range(len(history) - 1, -1, -1):
        if not history[position].empty_layer:
            seen += 1
            if 1 < seen <= len(state.image.layers) - own:
                history[position] = replace(history[position], empty_layer=True)
    config = replace(
        state.image.config, diff_ids=(*state.image.config.diff_ids[:own], layer.diff_id), history=tuple(history)
    )
    state.image = replace(state.image, config=config, layers=(*state.image.layers[:own], layer))
    state.indexed = len(state.image.layers) if state.indexed else 0
