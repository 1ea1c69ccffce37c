"""RUN: a root with everything so far, the command in the sandbox, and the layer of what it changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from gazami.builder.files.workspace import is_full
from gazami.builder.request import Pairs
from gazami.builder.stages.copying import TreeOf
from gazami.builder.stages.mounting import StepMounts, script_path, step_mounts
from gazami.builder.stages.state import Done, StageState
from gazami.builder.tools import Tools
from gazami.errors import CommandFailed, UsageError
from gazami.events import Message, StepId, StepOutput
from gazami.file_locks import locked
from gazami.plan.steps import RunStep
from gazami.sandbox.spec import Root, RunSpec


def run_command(step: RunStep, state: StageState, tree_of: TreeOf) -> Done:
    tools = state.tools
    with tools.alone_if_in_place():
        mounts = step_mounts(step, tools, tree_of)
    while True:
        root, changed = state.root()
        with tools.alone_if_in_place(), locked(mounts.locks, tools.cancel, shared=mounts.shared):
            result = tools.sandbox.run(_spec(step, root, mounts, tools), _output(step, state))
        for note in result.notes:
            tools.emit(Message("warning", note))
        if result.exit_code == 0:
            return state.snapshot(changed, result)
        full = is_full(changed)
        if not full or not tools.workspace.leave_memory():
            raise _failure(step, result.exit_code, timed_out=result.timed_out, oom=result.oom_killed, full=full)
        tools.emit(
            Message("warning", "there is no more room in memory: running this step again with its files on the disk")
        )


def _spec(step: RunStep, root: Root, mounts: StepMounts, tools: Tools) -> RunSpec:
    wishes = tools.request.sandbox
    argv = step.argv
    if step.script is not None:
        argv = tuple(script_path(word, tools) if word == step.script.name else word for word in argv)
    return RunSpec(
        root,
        argv,
        (*step.env, *mounts.env),
        step.cwd,
        step.user,
        mounts=mounts.mounts,
        network="none" if step.network == "none" else "default",
        hosts=wishes.add_hosts,
        timeout=wishes.timeout,
        shm_size=wishes.shm_size,
        limits=wishes.ulimits,
        hostname=hostname_of(tools.request.plan.build_args),
    )


def hostname_of(build_args: Pairs) -> str:
    """``BUILDKIT_SANDBOX_HOSTNAME``, or BuildKit's default. Raises :class:`UsageError` for what is no name."""
    name = dict(build_args).get("BUILDKIT_SANDBOX_HOSTNAME") or "buildkitsandbox"
    if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?", name):
        raise UsageError(
            f"BUILDKIT_SANDBOX_HOSTNAME={name!r} is not the name of a host", hint="up to 64 letters, digits, - and ."
        )
    return name


def _output(step: RunStep, state: StageState) -> Callable[[Literal["stdout", "stderr"], bytes], None]:
    identity = StepId(state.plan.index, step.common.number)
    emit = state.tools.emit

    def output(stream: Literal["stdout", "stderr"], data: bytes) -> None:
        emit(StepOutput(identity, stream, data))

    return output


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
