"""One step at a time, whatever its kind: its work, then its config, its layer and its history entry."""

from __future__ import annotations

from typing import assert_never

from gazami.builder.stages.copying import TreeOf, copy_files, make_workdir
from gazami.builder.stages.state import Done, StageState
from gazami.errors import Cancelled, GazamiError
from gazami.plan.steps import CopyStep, MetadataStep, RunStep, Step, WorkdirStep


def execute(step: Step, state: StageState, tree_of: TreeOf) -> Done:
    """Carry out one step on a stage. Errors get the step's place in the Dockerfile."""
    try:
        done = _work(step, state, tree_of)
    except Cancelled:
        raise
    except GazamiError as error:
        raise error.at(step.common.span, step.common.source) from error.__cause__
    state.take_config(step.common.config)
    if done.layer is None:
        state.note(step.common.created_by)
    else:
        state.append(done.layer, step.common.created_by, upper=done.upper)
    return done


def _work(step: Step, state: StageState, tree_of: TreeOf) -> Done:
    match step:
        case MetadataStep():
            return Done()
        case CopyStep():
            return copy_files(step, state, tree_of)
        case WorkdirStep():
            return make_workdir(step, state)
        case RunStep():
            from gazami.builder.stages.running import run_command  # with all that a sandbox needs

            return run_command(step, state, tree_of)
    assert_never(step)
