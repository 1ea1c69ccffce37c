"""A plan as text, for ``--dryrun``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from gazami.plan.steps import (
    ContextSource,
    CopyStep,
    FilesFrom,
    ImageSource,
    MetadataStep,
    NamedSource,
    Plan,
    RunStep,
    StagePlan,
    StageSource,
    Step,
    WorkdirStep,
)

Notes = Mapping[tuple[int, int], str]
"""What else there is to say of a step, by stage number and position: what the cache has."""


def render_plan(plan: Plan, notes: Notes | None = None) -> str:
    """One block a stage, one line a step, with what the step will do in brackets."""
    digests = {image.reference: digest for image, digest in plan.images}
    blocks = [_stage(plan, stage, digests, notes or {}) for stage in plan.stages]
    return "\n".join(blocks)


def _stage(plan: Plan, stage: StagePlan, digests: Mapping[str, str], notes: Notes) -> str:
    mark = " (target)" if stage.number == plan.target else ""
    digest = digests.get(stage.base_text)
    lines = [f"stage {stage.number} {stage.name}{mark}", f"  FROM {stage.base_text}" + (f" @ {digest}" if digest else "")]
    for position, step in enumerate(stage.steps):
        note = notes.get((stage.number, position))
        does = _does(plan, step) + (f", {note}" if note else "")
        lines.append(f"  {step.common.number:>3} {_first_line(step.common.text)}  [{does}]")
    return "\n".join(lines) + "\n"


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]


def _does(plan: Plan, step: Step) -> str:
    match step:
        case MetadataStep():
            return "config"
        case RunStep():
            return f"run as {step.user or 'root'} in {step.cwd}, layer"
        case CopyStep():
            origin = _origin(plan, step.files) if step.sources else "the Dockerfile"
            return f"copy from {origin} to {step.dest}, layer"
        case WorkdirStep():
            return f"directory {step.path}, layer"
    assert_never(step)


def _origin(plan: Plan, files: FilesFrom) -> str:
    match files:
        case ContextSource():
            return "the context"
        case StageSource(number):
            return f"stage {plan.stage(number).name}"
        case ImageSource(image):
            return f"image {image.reference}"
        case NamedSource(name):
            return f"context {name}"
    assert_never(files)
