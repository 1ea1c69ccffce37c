"""Process 1 of a step: it enters namespaces of its own, prepares the root, starts the command and reaps.

It is the init process of the step's PID namespace (pid_namespaces(7)): the kernel kills everything else in there when it ends.
Where there is no such namespace it is a child subreaper (prctl(2)), and the handler ends what is left. What it has done
goes to the handler through :mod:`.reports`.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
from contextlib import suppress
from typing import NoReturn

from gazami.errors import SandboxError, SpaceError
from gazami.sandbox.inside import inplace, kernel_files, launch, mounted_root, plain_root, prepared_root, reports, unrunnable
from gazami.sandbox.inside.inplace import ContainerRoot
from gazami.sandbox.inside.launch import SeccompFilter
from gazami.sandbox.inside.plain_root import UndoLog
from gazami.sandbox.inside.prepared_root import PreparedRoot
from gazami.sandbox.inside.reports import CommandEnd, Prepared
from gazami.sandbox.inside.targets import Targets
from gazami.sandbox.kernel import capabilities, linux, namespaces, notify
from gazami.sandbox.kernel.capabilities import Capability
from gazami.sandbox.kernel.notify import Supervisor
from gazami.sandbox.protocol import describe_error
from gazami.sandbox.spec import Choice, RunSpec
from gazami.values import fast_dataclass, replace

_NOT_STARTED = (1, 2, 126, 127)
"""What shells end with where a program cannot be started, or is no script of theirs."""


@fast_dataclass(frozen=True, slots=True)
class StepRun:
    """One command. ``base`` is where the files of its root are seen while it runs, or its changes with an overlay; ``aside`` is a
    directory next to a plain root, for what has to make way in it."""

    spec: RunSpec
    choice: Choice
    filter: SeccompFilter | None
    base: str
    aside: str
    on_terminal: bool = False
    """Its output is a terminal, which is its input too and which it controls."""


def run(step: StepRun, output: tuple[int, int], pipe: int) -> NoReturn:
    """Be that process, and end with it. ``pipe`` is for the reports."""
    gc.disable()
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        launch.arrange_descriptors(output, pipe, on_terminal=step.on_terminal)
        if _handler_is_gone():
            os._exit(1)
        if not step.choice.pid_namespace:
            linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        started = _start(step)
        status = _wait_for(started.command)
        reports.send(_end(started, status, step.spec))
    except BaseException as error:
        reports.send(describe_error(_explain(error)))
    finally:
        os._exit(0)


@fast_dataclass(frozen=True, slots=True)
class _Started:
    """``children`` is the file that lists this process's children, which what the command leaves becomes; ``changes`` a path below
    which the command's changes are seen from its root."""

    children: int | None
    command: int
    supervisor: Supervisor | None
    changes: str


def _start(step: StepRun) -> _Started:
    """Prepare the root, enter it and fork the command."""
    targets = Targets()
    children = None
    with suppress(OSError):
        children = os.open("/proc/thread-self/children", os.O_RDONLY | os.O_CLOEXEC)
    prepared = _enter_mounted(step, targets) if step.choice.mode.mounts else _enter_plain(step, targets)
    supervisor, channel = _supervise(step, prepared)
    command = os.fork()
    if command == 0:
        try:
            spec = step.spec if channel is None else _become_recorded(step.spec, prepared, channel)
            launch.become(
                spec,
                prepared.account,
                step.filter,
                _kept(step.choice),
                pid_namespace=step.choice.pid_namespace,
                on_terminal=step.on_terminal,
            )
        except BaseException as error:
            reports.send(describe_error(_explain(error)))
        finally:
            os._exit(1)
    os.close(prepared.root)
    os.close(prepared.cwd)
    if channel is not None:
        channel.close()
    if supervisor is not None:
        supervisor.start()
    changes = "/"
    if targets.upper is not None:  # reached as this process's directory: a step may have mounted something over /proc
        os.fchdir(targets.upper)
        changes = "."
    return _Started(children, command, supervisor, changes)


def _kept(choice: Choice) -> frozenset[Capability]:
    """The capabilities that commands have."""
    kept = capabilities.DOCKER - choice.mode.withheld
    return kept if choice.guards_devices else kept - {Capability.MKNOD}


def _enter_mounted(step: StepRun, targets: Targets) -> PreparedRoot:
    _own_namespaces(step.spec)
    try:
        prepared = mounted_root.prepare(step.spec, step.choice, targets)
    finally:
        reports.send(Prepared(targets.record()))
    mounted_root.enter(prepared)
    return prepared


def _enter_plain(step: StepRun, targets: Targets) -> PreparedRoot:
    choice, log = step.choice, UndoLog(targets, step.aside)
    container = ContainerRoot.of(choice) if choice.mode.shares_root else None
    names = prepared_root.RESOLV_CONF if container is None else container.of_container(prepared_root.RESOLV_CONF)
    try:
        prepared = plain_root.prepare(
            step.spec, step.base, log, choice.name, prepared_root.resolv_conf(names), devices=choice.device_cgroup
        )
    finally:
        reports.send(Prepared(targets.record(), log.record()))
    times = plain_root.change_times(step.base, log)
    if container is None:
        plain_root.enter(prepared)
    else:
        times |= inplace.change_times(container)
        os.fchdir(prepared.cwd)
    reports.send(Prepared(targets.record(), log.record(), tuple(times.items())))
    return prepared


def _supervise(step: StepRun, prepared: PreparedRoot) -> tuple[Supervisor | None, socket.socket | None]:
    """The supervisor that records the owners of files, and the command's end of the socket to it."""
    if not step.choice.mode.records_owners:
        return None, None
    ours, theirs = socket.socketpair()
    return Supervisor(ours, prepared.account.uid, prepared.account.gid), theirs


def _become_recorded(spec: RunSpec, prepared: PreparedRoot, channel: socket.socket) -> RunSpec:
    """In the command's process, where only one id exists: that is the user's, and changes of owner go to the supervisor."""
    program = notify.filter_program(linux.MACHINE)
    if program is None:
        raise SandboxError(f"owners cannot be recorded on {linux.MACHINE}")
    if prepared.account.uid:
        linux.prctl(linux.PR_SET_DUMPABLE, 1)  # or its own files in /proc are not its own
        namespaces.enter_with_one_id(prepared.account.uid, prepared.account.gid)
    notify.install(program, channel)
    if any(name == "APT_CONFIG" for name, _ in spec.env) or not os.path.isdir("/etc/apt"):
        return spec
    return replace(spec, env=(*spec.env, ("APT_CONFIG", kernel_files.APT_CONFIG)))


def _own_namespaces(spec: RunSpec) -> None:
    """What every command has to itself; host name and IPC only where the kernel lets us."""
    wanted = linux.CLONE_NEWNS | (linux.CLONE_NEWNET if spec.network == "none" else 0)
    try:
        linux.unshare(wanted | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC)
        with suppress(PermissionError):
            linux.sethostname(spec.hostname)
    except OSError:
        linux.unshare(wanted)
    if spec.network == "none":
        namespaces.raise_loopback()


def _wait_for(command: int) -> int:
    """Reap whatever ends until the command does; its status as a shell says it."""
    while True:
        pid, status = os.wait()
        if pid == command:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _end(started: _Started, status: int, spec: RunSpec) -> CommandEnd:
    children, supervisor = started.children, started.supervisor
    leftovers = None if children is None else len(os.pread(children, 1 << 20, 0).split())
    found = unrunnable.suspects(spec.argv, dict(spec.env), spec.cwd) if status in _NOT_STARTED else ()
    if supervisor is None:
        return CommandEnd(status, leftovers, unrunnable=found)
    return CommandEnd(
        status,
        leftovers,
        unrunnable=found,
        owner=(supervisor.uid, supervisor.gid),
        owners=tuple((path, *owner) for path, owner in supervisor.changed_links("/", started.changes).items()),
        pretended=tuple(sorted(supervisor.pretended)),
    )


def _handler_is_gone() -> bool:
    poller = select.poll()
    poller.register(launch.REPORTS, 0)
    return bool(poller.poll(0))


def _explain(error: BaseException) -> BaseException:
    """A failure of the system while the root is prepared, as one that says so."""
    if not isinstance(error, OSError):
        return error
    where = f"{error.filename}: " if error.filename else ""
    text = f"{where}{error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SpaceError(f"no space for the command's root: {text}")
    return SandboxError(f"the command's root cannot be prepared: {text}")
