"""The stages of a plan: which of them are needed, and each one's steps from the base to its last layer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from gazami.builder.cached.caching import Caching, Hit
from gazami.builder.files.squash import squash
from gazami.builder.inputs.check import Given, missing, raise_errors
from gazami.builder.inputs.named import image_layers
from gazami.builder.inputs.needs import FileNeed, needs_of_step
from gazami.builder.outputs.export import Exporter
from gazami.builder.stages.execute import execute
from gazami.builder.stages.schedule import in_order_of_need
from gazami.builder.stages.sources import Sources
from gazami.builder.stages.state import Done, StageState
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
from gazami.image.manifest import DOCKER_MANIFEST, OCI_MANIFEST, Descriptor
from gazami.image.model import Image, Layer, Origin
from gazami.plan.steps import (
    CopyStep,
    ImageBase,
    ImageSource,
    MetadataStep,
    Plan,
    RunStep,
    ScratchBase,
    StageBase,
    StagePlan,
    StageSource,
    WorkdirStep,
    sources_of,
    sources_of_step,
)
from gazami.registry.resolved import Resolved
from gazami.registry.transfer import Uploads
from gazami.rootfs.tree import Tree
from gazami.values import dataclass, field, replace


@dataclass(slots=True)
class Stages:
    """The plan's stages on their way to the image."""

    plan: Plan
    tools: Tools
    exporter: Exporter
    uploads: Uploads
    sources: Sources
    caching: Caching | None = None
    _work: dict[int, frozenset[int]] = field(default_factory=dict)
    """Positions of the steps that the look-ups did not find, of each stage that is needed."""
    _sources: set[int] = field(default_factory=set)
    """The stages that another one will copy from, or is built from and may."""

    def build(self) -> Image:
        """Build the stages that are needed after the cache was looked into; the target's image."""
        self._find_needed()
        self._check_secrets()
        self.tools.to_unpack = self._layers_of_roots()
        chain = {stage.index for stage in self.plan.lineage(self.plan.stage(self.plan.target))}
        stages = [stage for stage in self.plan.stages if stage.index in self._work]

        def build_one(stage: StagePlan) -> None:
            with self.tools.registry.transport.obeying(self.tools.cancel):
                self.sources.stages[stage.index] = self._stage(stage, final=stage.index in chain)

        in_order_of_need(stages, self._inputs, build_one, self.tools.cancel)
        return self.sources.stages[self.plan.target].image

    def _inputs(self, stage: StagePlan) -> set[int]:
        """The stages that have to be there before a stage can begin."""
        found = {stage.base.index} if isinstance(stage.base, StageBase) else set()
        for position in self._work[stage.index]:
            found |= {each.index for each in sources_of_step(stage.steps[position]) if isinstance(each, StageSource)}
        return found

    def _find_needed(self) -> None:
        """The target is needed; a needed stage needs its base, and the stages that its missed steps copy from."""
        hits = self.caching.hits if self.caching is not None else {}
        todo = [self.plan.target]
        while todo:
            index = todo.pop()
            if index in self._work:
                continue
            stage = self.plan.stage(index)
            self._work[index] = frozenset(each for each in range(len(stage.steps)) if (index, each) not in hits)
            needed = self._inputs(stage)
            self._sources |= needed
            todo += needed

    def _layers_of_roots(self) -> tuple[Descriptor, ...]:
        """The layers of the bases in which commands are still to be run, each once."""
        found: dict[Digest, Descriptor] = {}
        for index, work in self._work.items():
            stage = self.plan.stage(index)
            if not any(isinstance(stage.steps[each], RunStep) for each in work):
                continue
            *_, first = self.plan.lineage(stage)
            if isinstance(first.base, ImageBase):
                found |= {layer.digest: layer for layer in self.tools.images[first.base].manifest.layers}
        return tuple(found.values())

    def _check_secrets(self) -> None:
        """Raise for the secrets and agents that the steps to come need and that were not given."""
        sandbox, context = self.tools.request.sandbox, self.tools.context
        secrets, agents = frozenset(name for name, _, _ in sandbox.secrets), dict(sandbox.ssh)
        given = Given(context, self.tools.context_folder, secrets=secrets, agents=agents)
        steps = (self.plan.stage(index).steps[each] for index, work in self._work.items() for each in work)
        needs = (need for step in steps for need in needs_of_step(step) if not isinstance(need, FileNeed))
        raise_errors(missing(needs, given))

    def _stage(self, stage: StagePlan, *, final: bool) -> StageState:
        tools = self.tools
        started = time.monotonic()
        tools.emit(StageStarted(stage.index, stage.name, stage.base_text, len(stage.steps)))
        state = self._start(stage)
        own = len(state.image.layers)
        single = tools.request.snapshot.single
        state.destination = self.exporter.first_destination if final and not single else None
        needed_later = stage.index in self._sources
        last = {type(stage.steps[position]): position for position in sorted(self._work[stage.index])}
        last_copy = max(last.get(CopyStep, -1), last.get(WorkdirStep, -1))
        explained = False
        for position, step in enumerate(stage.steps):
            tools.cancel.check()
            missed = position in self._work[stage.index]
            state.wants_tree = needed_later or last_copy >= position
            state.wants_root = last.get(RunStep, -1) >= position
            below = state.image.config.diff_ids
            if missed and not explained and not isinstance(step, MetadataStep):
                self._explain(stage, position)
                explained = True
            done = self._step(position, stage, state, missed=missed)
            if self.caching is not None and len(state.image.config.diff_ids) > len(below):
                self.caching.made[stage.index, position] = state.image.config.diff_ids[-1]
            if final and not single:
                if done is not None and done.layer is not None and done.growing is not None:
                    self.exporter.finish_upload(done.layer, done.growing, self.uploads)
                self.exporter.upload_layers(state.image, self.uploads)
            if done is not None and done.layer is not None and self.caching is not None and state.made is not None:
                pushed = self._uploaded(done.layer, final=final and not single)
                self.caching.store(stage, position, below, Hit(done.layer, state.made), done.members, pushed)
                if done.members is not None:
                    tools.indexes.save_layer(done.layer.diff_id, done.members)
        if single and len(state.image.layers) - own > 1:
            if not needed_later:
                state.tree, state.indexed, state.confirmed = (
                    Tree(),
                    0,
                    True,
                )  # room for the joining, which needs as much
            _squash_stage(state, own)
        if final:
            self.exporter.upload_layers(state.image, self.uploads)
        tools.emit(StageFinished(stage.index, time.monotonic() - started))
        return state

    def _step(self, position: int, stage: StagePlan, state: StageState, *, missed: bool) -> Done | None:
        """Carry a step out, or take its layer from the cache; what was done, None for a hit."""
        step = stage.steps[position]
        emit = self.tools.emit
        identity = StepId(stage.index, step.common.number)
        emit(StepStarted(identity, len(stage.steps), step.common.text, step.common.span))
        started = time.monotonic()
        try:
            if (hit := self._cached(position, stage, state, missed=missed)) is not None:
                state.take_config(step.common.config)
                state.append(hit.layer, step.common.created_by, made=hit.made)
                if hit.index is not None:
                    self.tools.indexes.members[hit.layer.diff_id] = hit.index
                emit(StepFinished(identity, time.monotonic() - started, True, hit.layer.descriptor.size))
                return None
            done = execute(step, state, self.sources.tree_of)
        except GazamiError as error:
            emit(StepFailed(identity, time.monotonic() - started, error.message))
            raise
        size = done.layer.descriptor.size if done.layer is not None else None
        emit(StepFinished(identity, time.monotonic() - started, False, size, done.files))
        return done

    def _cached(self, position: int, stage: StagePlan, state: StageState, *, missed: bool) -> Hit | None:
        if self.caching is None:
            return None
        if not missed:
            return self.caching.hits[stage.index, position]
        return self.caching.by_content(stage, position, state.image.config.diff_ids)

    def _explain(self, stage: StagePlan, position: int) -> None:
        """Say which input of a stage's first missed step differs from last time's."""
        names = self.caching.explain(stage, position) if self.caching is not None else ()
        if names:
            self.tools.emit(Message("info", f"not in the cache, since these changed: {', '.join(names)}"))

    def _uploaded(self, layer: Layer, *, final: bool) -> Callable[[], Origin | None]:
        """A function that waits for a layer's upload to a destination and says where it is then."""
        if not final:
            return lambda: None
        return lambda: self.exporter.wait_for(layer, self.uploads)

    def _start(self, stage: StagePlan) -> StageState:
        media_type = OCI_MANIFEST if self.tools.packing.oci else DOCKER_MANIFEST
        match stage.base:
            case ScratchBase():
                return StageState(stage, Image(stage.config, (), media_type), self.tools)
            case ImageBase():
                state = StageState(stage, self._base_image(stage.base, stage), self.tools)
                state.base = state.image.config.diff_ids
                known = self.tools.base_trees.get(state.image.config.diff_ids)
                if known is not None:
                    state.tree, state.indexed = known.copy(), len(state.image.layers)
                return state
            case StageBase(index):
                parent = self.sources.stages[index]
                image = replace(parent.image, media_type=media_type)
                state = StageState(stage, image, self.tools)
                state.take_config(stage.config)
                state.base = parent.base
                with self.sources.lock(StageSource(index)):
                    if parent.confirmed and parent.indexed == len(parent.image.layers):
                        state.tree, state.indexed = parent.tree.copy(), parent.indexed
                return state

    def _base_image(self, base: ImageBase, stage: StagePlan) -> Image:
        resolved = self.tools.images[base]
        layers = tuple(self.tools.layers.register(layer, pinned=True) for layer in image_layers(base, resolved))
        config = replace(stage.config, diff_ids=resolved.config.diff_ids, history=_repaired(resolved))
        return Image(config, layers, OCI_MANIFEST if self.tools.packing.oci else DOCKER_MANIFEST)


def shared_bases(plan: Plan, images: dict[ImageBase, Resolved]) -> frozenset[tuple[Digest, ...]]:
    """The layers of images whose index several stages (or copies) ask for."""
    files = {each for stage in plan.stages for each in sources_of(stage)}
    sources = {each.index for each in files if isinstance(each, StageSource)}
    sources |= {stage.base.index for stage in plan.stages if isinstance(stage.base, StageBase)}
    used = [
        stage.base
        for stage in plan.stages
        if isinstance(stage.base, ImageBase)
        and (stage.index in sources or any(isinstance(step, CopyStep | WorkdirStep) for step in stage.steps))
    ]
    used += [each.image for each in files if isinstance(each, ImageSource)]
    counted = Counter(images[base].config.diff_ids for base in used)
    return frozenset(chain for chain, times in counted.items() if times > 1)


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
