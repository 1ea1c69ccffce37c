"""RUN: a root with everything so far, the command in the sandbox, and the layer of what it changed."""

from __future__ import annotations

import base64
import posixpath
from pathlib import Path
from typing import Literal

from gazami.builder.stage import Done, StageState
from gazami.builder.tools import Tools
from gazami.errors import CommandFailed, DockerfileError
from gazami.events import StepId, StepOutput
from gazami.plan.steps import ContextSource, RunStep
from gazami.sandbox.spec import BindMount, FileMount, RunSpec, StepMount, TmpfsMount


def run_command(step: RunStep, state: StageState) -> Done:
    tools = state.tools
    root, changed = state.root()
    identity = StepId(state.plan.index, step.common.number)

    def output(stream: Literal["stdout", "stderr"], data: bytes) -> None:
        tools.emit(StepOutput(identity, stream, data))

    spec = RunSpec(
        root,
        step.argv,
        _environment(step, tools),
        step.cwd,
        step.user,
        mounts=_mounts(step, tools),
        network="none" if step.network == "none" else "default",
        hosts=tools.request.sandbox.add_hosts,
        timeout=tools.request.sandbox.timeout,
    )
    result = tools.sandbox.run(spec, output)
    if result.exit_code != 0:
        raise _failure(step, result.exit_code, timed_out=result.timed_out, oom=result.oom_killed)
    return state.snapshot(changed, result.created)


def _failure(step: RunStep, exit_code: int, *, timed_out: bool, oom: bool) -> CommandFailed:
    command = " ".join(step.argv)
    short = command if len(command) <= 300 else command[:297] + "..."
    hint = None
    if timed_out:
        hint = "it was ended by the time limit of --timeout"
    elif oom:
        hint = "it was killed for want of memory: give the container more"
    elif exit_code == 127:
        hint = "127 usually means that the command was not found in the image"
    elif exit_code == 137:
        hint = "137 means that it was killed (SIGKILL), most often for want of memory"
    return CommandFailed(
        f'process "{short}" did not complete successfully: exit code: {exit_code}', exit_code=exit_code, hint=hint
    )


def _environment(step: RunStep, tools: Tools) -> tuple[tuple[str, str], ...]:
    secrets = _secrets(tools)
    extra: list[tuple[str, str]] = []
    for mount in step.mounts:
        if mount.mount.type == "secret" and mount.mount.env:
            data = _secret(mount.mount.id or mount.mount.source or mount.mount.env, secrets, mount.mount.required)
            if data is not None:
                extra.append((mount.mount.env, data.decode("utf-8", "surrogateescape")))
    return (*step.env, *extra)


def _mounts(step: RunStep, tools: Tools) -> tuple[StepMount, ...]:
    secrets = _secrets(tools)
    found: list[StepMount] = []
    for each in step.mounts:
        mount = each.mount
        if mount.type == "tmpfs":
            found.append(TmpfsMount(mount.target, mount.size))
        elif mount.type == "secret":
            if mount.env and not mount.target:
                continue
            identity = mount.id or mount.source or posixpath.basename(mount.target)
            data = _secret(identity, secrets, mount.required)
            if data is not None:
                found.append(
                    FileMount(
                        mount.target or f"/run/secrets/{posixpath.basename(identity)}",
                        base64.b64encode(data).decode(),
                        0o400 if mount.mode is None else mount.mode,
                        mount.uid or 0,
                        mount.gid or 0,
                    )
                )
        elif mount.type == "bind" and each.files == ContextSource() and mount.readonly is not False:
            found.append(BindMount(f"{tools.context_folder}/{mount.source.strip('/')}".rstrip("/"), mount.target))
        else:
            raise DockerfileError(f"RUN --mount=type={mount.type} is not supported yet in this form")
    if step.script is not None:
        content = base64.b64encode(step.script.content.encode("utf-8", "surrogateescape")).decode()
        found.append(FileMount(step.script.name, content, 0o755))
    return tuple(found)


def _secrets(tools: Tools) -> dict[str, tuple[str, str]]:
    return {name: (kind, value) for name, kind, value in tools.request.sandbox.secrets}


def _secret(identity: str, secrets: dict[str, tuple[str, str]], required: bool) -> bytes | None:
    found = secrets.get(identity)
    if found is None:
        if required:
            raise DockerfileError(
                f"the secret {identity} is required and was not given", hint=f"--secret id={identity},src=FILE"
            )
        return None
    kind, value = found
    if kind == "env":
        return value.encode("utf-8", "surrogateescape")
    return Path(value).read_bytes()
