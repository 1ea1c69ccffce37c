"""RUN: a root with everything so far, the command in the sandbox, and the layer of what it changed."""

from __future__ import annotations

from typing import Literal

from gazami.builder.copying import TreeOf
from gazami.builder.mounting import step_mounts
from gazami.builder.stage import Done, StageState
from gazami.builder.workspace import is_full, locked
from gazami.errors import CommandFailed
from gazami.events import StepId, StepOutput
from gazami.plan.steps import RunStep
from gazami.sandbox.spec import RunSpec


def run_command(step: RunStep, state: StageState, tree_of: TreeOf) -> Done:
    tools = state.tools
    mounts = step_mounts(step, tools, tree_of)
    root, changed = state.root()
    identity = StepId(state.plan.index, step.common.number)

    def output(stream: Literal["stdout", "stderr"], data: bytes) -> None:
        tools.emit(StepOutput(identity, stream, data))

    spec = RunSpec(
        root,
        step.argv,
        (*step.env, *mounts.env),
        step.cwd,
        step.user,
        mounts=mounts.mounts,
        network="none" if step.network == "none" else "default",
        hosts=tools.request.sandbox.add_hosts,
        timeout=tools.request.sandbox.timeout,
        shm_size=tools.request.sandbox.shm_size,
        limits=tools.request.sandbox.ulimits,
    )
    with locked(mounts.locks, tools.cancel):
        result = tools.sandbox.run(spec, output)
    if result.exit_code != 0:
        full = is_full(tools.workspace.files)
        raise _failure(step, result.exit_code, timed_out=result.timed_out, oom=result.oom_killed, full=full)
    return state.snapshot(changed, result.created)


def _failure(step: RunStep, exit_code: int, *, timed_out: bool, oom: bool, full: bool) -> CommandFailed:
    command = " ".join(step.argv)
    short = command if len(command) <= 300 else command[:297] + "..."
    hint = None
    if timed_out:
        hint = "it was ended by the time limit of --timeout"
    elif oom:
        hint = "it was killed for want of memory: give the container more"
    elif full:
        hint = "the file system of the state directory is full: give a larger one with --state-dir"
    elif exit_code == 127:
        hint = "127 usually means that the command was not found in the image"
    elif exit_code == 137:
        hint = "137 means that it was killed (SIGKILL), most often for want of memory"
    return CommandFailed(
        f'process "{short}" did not complete successfully: exit code: {exit_code}', exit_code=exit_code, hint=hint
    )
