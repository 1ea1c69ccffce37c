"""RUN: a root with everything so far, the command in the sandbox, and the layer of what it changed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Literal

from gazami.builder.files.memory import memory_limit
from gazami.builder.files.packer import Follow, NewLayer, Packer
from gazami.builder.files.workspace import is_full
from gazami.builder.request import SandboxOptions
from gazami.builder.stages.failed_command import TAIL, Surroundings, failed_command
from gazami.builder.stages.failed_shell import FailedShell
from gazami.builder.stages.mounting import Mounting, StepMounts
from gazami.builder.stages.snapshot import snapshot
from gazami.builder.stages.stage import Stage
from gazami.builder.stages.volumes import told
from gazami.builder.stages.work import StepWork
from gazami.errors import GazamiError, UsageError
from gazami.events import Emit, Message, StepId, StepOutput
from gazami.file_locks import locked
from gazami.image.model import Layer
from gazami.plan.steps import RunStep
from gazami.sandbox.spec import Root, RunResult, RunSpec
from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class Running:
    """Carries out RUN. ``hostname`` is what commands see as the machine's name."""

    mounting: Mounting
    packer: Packer
    options: SandboxOptions
    hostname: str
    emit: Emit
    keep: Callable[[RunStep, tuple[Layer, ...]], None] | None = None
    """What is done with the files of a step that failed."""
    shell: FailedShell | None = None

    def run(self, step: RunStep, work: StepWork, stage: Stage, follow: Follow | None) -> NewLayer:
        """Run a step's command; the layer of what it changed. Raises :class:`CommandFailed`, and what the sandbox raises."""
        isolation = self.mounting.isolation
        if self.mounting.volumes:
            self.emit(Message("info", told(self.mounting.volumes)))
        with isolation.alone_if_in_place():
            mounts = self.mounting.prepare(step)
        try:
            return self._run(step, work, stage, follow, mounts)
        finally:
            for copy in mounts.copies:
                isolation.remove(copy, cleanup=True)

    def _run(self, step: RunStep, work: StepWork, stage: Stage, follow: Follow | None, mounts: StepMounts) -> NewLayer:
        isolation, files = self.mounting.isolation, self.packer.files
        while True:
            root, changed = stage.root(work)
            with isolation.alone_if_in_place(), locked(mounts.locks, files.cancel, shared=mounts.shared):
                words = _LastWords()
                result = isolation.sandbox.run(self._spec(step, root, mounts), self._output(step, stage, words))
            for note in result.notes:
                self.emit(Message("warning", note))
            if result.exit_code == 0:
                return snapshot(stage, work, result, changed=changed, packer=self.packer, follow=follow)
            full = _full(changed)
            if not full or not files.workspace.leave_memory():
                limit = memory_limit() if result.oom_killed else None
                memory = f"limit of the control group: {_size(limit)}" if limit else ""
                self._keep(step, work, stage, result, changed)
                self._open_shell(step, root, mounts, result)
                raise failed_command(step, result, words.data, Surroundings(self.options.limits.timeout, memory, full))
            text = "the files no longer fit in memory: running this step again with its files on disk"
            self.emit(Message("warning", text))

    def _open_shell(self, step: RunStep, root: Root, mounts: StepMounts, result: RunResult) -> None:
        """Let the person at the terminal look at what failed, unless it failed because others did."""
        isolation, cancel = self.mounting.isolation, self.packer.files.cancel
        if self.shell is not None and not cancel.is_set:
            with isolation.alone_if_in_place(), locked(mounts.locks, cancel, shared=mounts.shared):
                self.shell.open(isolation.sandbox, self._spec(step, root, mounts), result.exit_code)

    def _keep(self, step: RunStep, work: StepWork, stage: Stage, result: RunResult, changed: str) -> None:
        """Hand on the layers that a failed step leaves, if anybody wants them; not of one that fails because others did."""
        files = self.packer.files
        if self.keep is None or files.cancel.is_set:
            return
        try:
            new = snapshot(stage, work, result, changed=changed, packer=self.packer, follow=None)
        except GazamiError as error:
            self.emit(Message("warning", f"--on-failure: the files of the failed step could not be read: {error.message}"))
            return
        own = (files.register(new.layer),) if new.layer is not None else ()
        self.keep(step, (*stage.image.layers, *own))

    def _spec(self, step: RunStep, root: Root, mounts: StepMounts) -> RunSpec:
        argv = step.argv
        if step.script is not None:
            path = self.mounting.script_path(step.script.name)
            argv = tuple(path if word == step.script.name else word for word in argv)
        return RunSpec(
            root,
            argv,
            (*step.env, *mounts.env),
            step.cwd,
            step.user,
            mounts=mounts.mounts,
            network="none" if (self.options.network if step.network == "default" else step.network) == "none" else "default",
            hosts=self.options.add_hosts,
            timeout=self.options.limits.timeout,
            shm_size=self.options.limits.shm_size,
            limits=self.options.limits.ulimits,
            hostname=self.hostname,
        )

    def _output(self, step: RunStep, stage: Stage, words: _LastWords) -> Callable[[Literal["stdout", "stderr"], bytes], None]:
        identity = StepId(stage.plan.number, step.common.number)

        def output(stream: Literal["stdout", "stderr"], data: bytes) -> None:
            words.add(data)
            self.emit(StepOutput(identity, stream, data))

        return output


def hostname_of(build_args: Mapping[str, str]) -> str:
    """``BUILDKIT_SANDBOX_HOSTNAME``, or BuildKit's default. Raises :class:`UsageError` for what is no name."""
    name = build_args.get("BUILDKIT_SANDBOX_HOSTNAME") or "buildkitsandbox"
    if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?", name):
        raise UsageError(f"BUILDKIT_SANDBOX_HOSTNAME={name!r} is not a host name", hint="use up to 64 letters, digits, - and .")
    return name


def _full(place: str) -> str:
    """The file system of a place and how much is free there, if that is nothing; else empty."""
    if not is_full(place):
        return ""
    info = os.statvfs(place)
    inodes = f", {info.f_favail} of {info.f_files} files" if info.f_files else ""
    return f"{place} has {_size(info.f_bavail * info.f_frsize)} of {_size(info.f_blocks * info.f_frsize)}{inodes} free"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


@fast_dataclass(slots=True)
class _LastWords:
    """The end of what a command prints."""

    data: bytes = b""

    def add(self, data: bytes) -> None:
        self.data = data[-TAIL:] if len(data) >= TAIL else (self.data + data)[-TAIL:]
