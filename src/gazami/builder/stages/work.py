"""Which work a plan has once the cache was looked into: decided here, before any of it is done. Pure.

The target is needed. A needed stage needs the stage that it is built from, and those that the steps copy from which no cache hit
stands in for. Every other stage is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping

from gazami.builder.files.trees import Chain
from gazami.image.digest import Digest
from gazami.image.manifest import Descriptor
from gazami.image.model import layer_name
from gazami.plan.steps import (
    CopyStep,
    ImageBase,
    ImageSource,
    Plan,
    RunStep,
    StageBase,
    StagePlan,
    StageSource,
    Step,
    WorkdirStep,
    sources_of,
    sources_of_step,
)
from gazami.registry.resolved import Resolved
from gazami.values import fast_dataclass

Position = tuple[int, int]
"""A stage's number and the position of a step in it, both from 0."""


@fast_dataclass(frozen=True, slots=True)
class StepWork:
    """One step. ``missed``: the look-ups did not find its layer. ``needs_tree``: this step or a later one, or another stage,
    asks for the files as a tree; ``needs_root``: this step or a later one runs a command in them."""

    position: int
    step: Step
    missed: bool
    needs_tree: bool = False
    needs_root: bool = False


@fast_dataclass(frozen=True, slots=True)
class StageWork:
    """The steps of one stage that is needed. ``after`` are the stages that have to be there before it begins. ``is_source``:
    another stage is built from it or copies from it. ``in_target``: its layers are the target's."""

    stage: StagePlan
    steps: tuple[StepWork, ...]
    after: frozenset[int]
    is_source: bool
    in_target: bool

    @property
    def missed(self) -> Iterator[Step]:
        return (work.step for work in self.steps if work.missed)


def plan_work(plan: Plan, hits: Container[Position]) -> tuple[StageWork, ...]:
    """The stages that are needed, in the order of the Dockerfile."""
    needed: dict[int, frozenset[int]] = {}
    todo = [plan.target]
    while todo:
        number = todo.pop()
        if number not in needed:
            needed[number] = _inputs(plan.stage(number), hits)
            todo += needed[number]
    sources = frozenset[int]().union(*needed.values())
    lineage = {stage.number for stage in plan.lineage(plan.stage(plan.target))}
    return tuple(
        StageWork(
            stage,
            plan_stage(stage, hits, is_source=stage.number in sources),
            after=needed[stage.number],
            is_source=stage.number in sources,
            in_target=stage.number in lineage,
        )
        for stage in plan.stages
        if stage.number in needed
    )


def plan_stage(stage: StagePlan, hits: Container[Position], *, is_source: bool) -> tuple[StepWork, ...]:
    """The work of each step of a stage."""
    missed = [(stage.number, position) not in hits for position in range(len(stage.steps))]
    last_copy = _last(stage, missed, (CopyStep, WorkdirStep))
    last_run = _last(stage, missed, (RunStep,))
    return tuple(
        StepWork(position, step, missed[position], needs_tree=is_source or position <= last_copy, needs_root=position <= last_run)
        for position, step in enumerate(stage.steps)
    )


def _last(stage: StagePlan, missed: list[bool], kinds: tuple[type[Step], ...]) -> int:
    """The position of the last missed step of some kinds, -1 where there is none."""
    return max((at for at, step in enumerate(stage.steps) if missed[at] and isinstance(step, kinds)), default=-1)


def _inputs(stage: StagePlan, hits: Container[Position]) -> frozenset[int]:
    """The numbers of the stages that a stage is built from and that its missed steps copy from."""
    missed = (step for position, step in enumerate(stage.steps) if (stage.number, position) not in hits)
    found = {each.number for step in missed for each in sources_of_step(step) if isinstance(each, StageSource)}
    return frozenset(found | ({stage.base.number} if isinstance(stage.base, StageBase) else set()))


def layers_of_roots(works: Iterable[StageWork], plan: Plan, images: Mapping[ImageBase, Resolved]) -> tuple[Descriptor, ...]:
    """The layers of the bases in which commands are still to be run, each once."""
    found: dict[Digest, Descriptor] = {}
    for work in works:
        *_, first = plan.lineage(work.stage)
        if isinstance(first.base, ImageBase) and any(isinstance(step, RunStep) for step in work.missed):
            found |= {layer.digest: layer for layer in images[first.base].manifest.layers}
    return tuple(found.values())


def shared_bases(plan: Plan, images: Mapping[ImageBase, Resolved]) -> frozenset[Chain]:
    """The layers' names of images whose tree several stages (or copies) ask for."""
    files = {each for stage in plan.stages for each in sources_of(stage)}
    sources = {each.number for each in files if isinstance(each, StageSource)}
    sources |= {stage.base.number for stage in plan.stages if isinstance(stage.base, StageBase)}
    used = [
        stage.base
        for stage in plan.stages
        if isinstance(stage.base, ImageBase)
        and (stage.number in sources or any(isinstance(step, CopyStep | WorkdirStep) for step in stage.steps))
    ]
    used += [each.image for each in files if isinstance(each, ImageSource)]
    counted = Counter(_names_of(images[base]) for base in used)
    return frozenset(chain for chain, times in counted.items() if times > 1)


def _names_of(image: Resolved) -> Chain:
    return tuple(map(layer_name, image.manifest.layers, image.config.diff_ids))
