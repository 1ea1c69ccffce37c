"""Carry out the work that was planned: stages at the same time, the steps of each one after the other.

Uploads and the layer cache observe that a layer exists; nothing here knows of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, assert_never

from gazami.builder.files.packer import Follow, NewLayer
from gazami.builder.stages.schedule import in_order_of_need
from gazami.errors import Cancelled, GazamiError
from gazami.events import (
    BaseFinished,
    BaseStarted,
    Message,
    StageFinished,
    StageStarted,
    StepFailed,
    StepFinished,
    StepId,
    StepStarted,
)
from gazami.image.manifest import DOCKER_MANIFEST, OCI_MANIFEST
from gazami.plan.steps import CopyStep, MetadataStep, RunStep, StageBase, StagePlan, WorkdirStep
from gazami.values import fast_dataclass, replace

if TYPE_CHECKING:
    from gazami.builder.clock import Clock
    from gazami.builder.stages.copying import Copying
    from gazami.builder.stages.root import Roots
    from gazami.builder.stages.running import Running
    from gazami.builder.stages.sources import Sources
    from gazami.builder.stages.stage import Stage
    from gazami.builder.stages.work import StageWork, StepWork
    from gazami.cache.entry import FileList
    from gazami.cache.store import CacheStore
    from gazami.image.digest import Digest
    from gazami.image.model import Image, Layer
    from gazami.registry.transport import Transport


@fast_dataclass(frozen=True, slots=True)
class Hit:
    """A layer that an earlier build made, and when; ``members`` is where its members can be read, if a cache has them."""

    layer: Layer
    made: datetime
    members: tuple[CacheStore, FileList] | None = None


class LayerCache(Protocol):
    """What knows of layers that earlier builds made."""

    def hit(self, stage: StagePlan, position: int) -> Hit:
        """The layer of a step that the look-ups found."""
        ...

    def by_content(self, stage: StagePlan, position: int, diff_ids: tuple[Digest, ...]) -> Hit | None:
        """Look a missed step up again, now that the layers below it are known."""
        ...

    def is_cacheable(self, stage: StagePlan, position: int) -> bool:
        """Whether the layer of a step may be in the cache."""
        ...

    def explain(self, stage: StagePlan, position: int) -> tuple[str, ...]:
        """In words, what a missed step has other than last time."""
        ...


@fast_dataclass(frozen=True, slots=True)
class LayerMade:
    """A step's layer exists now. ``new`` is None for one of the cache; ``below`` are the layers that it lies on, ``image`` is the
    stage's image with it."""

    work: StageWork
    position: int
    image: Image
    made: datetime
    below: tuple[Digest, ...]
    new: NewLayer | None


class Observer(Protocol):
    """Called in the stage's thread, in order."""

    def layer_made(self, event: LayerMade) -> None: ...

    def step_ended(self, work: StageWork, image: Image) -> None:
        """A step went well, with a layer or without one."""

    def stage_ended(self, work: StageWork, image: Image) -> None: ...


@fast_dataclass(frozen=True, slots=True)
class Stages:
    """Builds stages. ``running`` is None where no command runs. ``follow`` begins to upload a layer of the target while it is
    written."""

    sources: Sources
    roots: Roots
    clock: Clock
    copying: Copying
    running: Running | None
    transport: Transport
    cache: LayerCache | None = None
    observers: tuple[Observer, ...] = ()
    follow: Follow | None = None

    def build(self, works: Sequence[StageWork]) -> None:
        """Build the stages; :attr:`Sources.stages` has them then. Raises the first error, when the others have ended."""
        cancel = self.copying.packer.files.cancel

        def one(work: StageWork) -> None:
            with self.transport.obeying(cancel):
                self.sources.stages[work.stage.number] = self._stage(work)

        in_order_of_need(works, one, cancel)

    def _stage(self, work: StageWork) -> Stage:
        plan, emit, started = work.stage, self.copying.emit, time.monotonic()
        emit(StageStarted(plan.number, plan.name, plan.base_text, len(plan.steps)))
        media_type = OCI_MANIFEST if self.copying.packer.packing.oci else DOCKER_MANIFEST
        stage = self.sources.begin(plan, media_type, self.roots, self.clock)
        base, missed = len(stage.image.layers), False
        for step in work.steps:
            self.copying.packer.files.cancel.check()
            missed = self._step(step, work, stage, explains=not missed) or missed
        if self.roots.snapshot.single and len(stage.image.layers) - base > 1:
            self._join(stage, base, keep_tree=work.is_source)
        for observer in self.observers:
            observer.stage_ended(work, stage.image)
        emit(StageFinished(plan.number, time.monotonic() - started))
        return stage

    def _step(self, step: StepWork, work: StageWork, stage: Stage, *, explains: bool) -> bool:
        """Carry a step out, or take its layer from the cache, and notify the observers. Returns whether the cache was asked in
        vain, which is explained if ``explains``."""
        plan, common, emit = stage.plan, step.step.common, self.copying.emit
        identity, started = StepId(plan.number, common.number), time.monotonic()
        below = stage.image.config.diff_ids
        begun = StepStarted(identity, len(plan.steps), common.text, common.span, common.source.name)
        try:
            hit = self._hit(step, stage)
        except GazamiError as error:
            emit(begun)
            self._failed(identity, started, error)
            raise
        begun = replace(begun, looked_up=time.monotonic() - started)
        missed = hit is None and self.cache is not None and self.cache.is_cacheable(plan, step.position)
        if missed and explains:
            begun = replace(begun, reasons=self._explain(plan, step))
        if hit is None:
            self._base(identity, step, stage)
        started = time.monotonic()
        emit(replace(begun, cached=hit is not None))
        try:
            new = self._take(hit, step, stage) if hit is not None else self._work(step, work, stage)
        except GazamiError as error:
            self._failed(identity, started, error)
            raise
        layer, made = (hit.layer, None) if hit is not None else (new.layer, new)
        size, digest = (layer.descriptor.size, layer.descriptor.digest) if layer is not None else (None, "")
        emit(StepFinished(identity, time.monotonic() - started, hit is not None, size, new.entries, missed, digest))
        if len(stage.image.config.diff_ids) > len(below):
            self._tell(LayerMade(work, step.position, stage.image, stage.made or self.clock.now(), below, made))
        for observer in self.observers:
            observer.step_ended(work, stage.image)
        return missed

    def _take(self, hit: Hit, step: StepWork, stage: Stage) -> NewLayer:
        """Take a step's layer from the cache; nothing is new."""
        common = step.step.common
        stage.take_layer(common.config, common.created_by, hit.layer, hit.made)
        if hit.members is not None:
            self.sources.trees.kept.note_cached(hit.layer.diff_id, *hit.members)
        return NewLayer()

    def _failed(self, identity: StepId, started: float, error: GazamiError) -> None:
        """Tell that a step ended; once the stages are to stop, none fails on its own account."""
        stopped = isinstance(error, Cancelled) or self.copying.packer.files.cancel.is_set
        self.copying.emit(StepFailed(identity, time.monotonic() - started, error.message, stopped))

    def _base(self, identity: StepId, step: StepWork, stage: Stage) -> None:
        """Bring the files of the stage's base here for the first step that needs them, so that its time is its own."""
        if not stage.lacks_base(step):
            return
        emit, started = self.copying.emit, time.monotonic()
        emit(BaseStarted(identity, self._base_text(stage.plan)))
        try:
            stage.bring_base(step)
        except BaseException as error:
            emit(BaseFinished(identity, time.monotonic() - started, failed=True))
            if isinstance(error, GazamiError) and not isinstance(error, Cancelled):
                raise error.at(stage.plan.span, step.step.common.source) from error.__cause__
            raise
        emit(BaseFinished(identity, time.monotonic() - started))

    def _base_text(self, plan: StagePlan) -> str:
        """The image that a stage begins with, through the stages that it is built from."""
        while isinstance(plan.base, StageBase):
            plan = self.sources.stages[plan.base.number].plan
        return plan.base_text

    def _tell(self, event: LayerMade) -> None:
        for observer in self.observers:
            observer.layer_made(event)
        if event.new is not None and event.new.members is not None and event.new.layer is not None:
            self.sources.trees.kept.save_layer(event.new.layer.diff_id, event.new.members)

    def _hit(self, step: StepWork, stage: Stage) -> Hit | None:
        if self.cache is None:
            return None
        if not step.missed:
            return self.cache.hit(stage.plan, step.position)
        return self.cache.by_content(stage.plan, step.position, stage.image.config.diff_ids)

    def _work(self, step: StepWork, work: StageWork, stage: Stage) -> NewLayer:
        """Do a step's work. Errors get its lines in the Dockerfile."""
        common = step.step.common
        try:
            new = self._layer(step, work, stage)
            stage.finish_step(common.config, common.created_by, new)
            return new
        except Cancelled:
            raise
        except GazamiError as error:
            raise error.at(common.span, common.source) from error.__cause__

    def _layer(self, step: StepWork, work: StageWork, stage: Stage) -> NewLayer:
        follow = self.follow if work.in_target else None
        match step.step:
            case MetadataStep():
                return NewLayer()
            case CopyStep() as copy:
                return self.copying.copy(copy, step, stage, follow)
            case WorkdirStep() as workdir:
                return self.copying.make_workdir(workdir, step, stage)
            case RunStep() as run:
                assert self.running is not None
                return self.running.run(run, step, stage, follow)
        assert_never(step.step)

    def _explain(self, plan: StagePlan, step: StepWork) -> tuple[str, ...]:
        """Say what a stage's first missed step has other than last time; in words."""
        reasons = self.cache.explain(plan, step.position) if self.cache is not None else ()
        if reasons:
            common = step.step.common
            where = f"{common.source.name}:{common.span.start}"
            self.copying.emit(Message("info", f"{where} is not in the cache: {', '.join(reasons)}"))
        return reasons

    def _join(self, stage: Stage, base: int, *, keep_tree: bool) -> None:
        """Replace a stage's own layers by one (``--single-snapshot``)."""
        if not keep_tree:
            stage.tree.forget()  # room for the joining, which needs as much
        own, packer = stage.image.layers[base:], self.copying.packer
        self.copying.emit(Message("info", f"--single-snapshot: joining {len(own)} layers into one"))
        from gazami.builder.files.squash import squash

        stage.join(packer.files.register(squash(own, packer.files, packer.packing)), base)
