"""One command, from request to reply. Three processes of the server's take part:

* the *handler* (this module), one per request, stays in the server's namespaces: it watches the clock and the caller, kills,
  and cleans up;
* the *init process* (:mod:`.init`) enters namespaces of its own, prepares the root, starts the command and reaps;
* the *command*.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from contextlib import suppress

from gazami.errors import SandboxError
from gazami.layer.beneath import Beneath, remove_tree
from gazami.sandbox.inside import devices, init, inplace, oom, plain_root, reap, reports, targets, volume_writes
from gazami.sandbox.inside.init import StepRun
from gazami.sandbox.inside.inplace import ContainerRoot
from gazami.sandbox.inside.launch import SeccompFilter
from gazami.sandbox.inside.prepared_root import open_source
from gazami.sandbox.inside.reports import CommandEnd, Prepared, StepReport
from gazami.sandbox.kernel import linux
from gazami.sandbox.kernel.cgroup import Group
from gazami.sandbox.protocol import Failure, send_message
from gazami.sandbox.spec import BindMount, Choice, OverlayRoot, RunResult, RunSpec
from gazami.values import replace

_KILLED = 128 + signal.SIGKILL
_CLEANING = 30.0
"""Seconds that the init process may take to end when its command has, with all the processes of its PID namespace."""


def run(
    channel: socket.socket,
    spec: RunSpec,
    output: tuple[int, int],
    choice: Choice,
    filter_: SeccompFilter | None,
    *,
    on_terminal: bool = False,
) -> None:
    """Run the command and send the reply; the caller's closing of ``channel`` kills it."""
    if isinstance(spec.root, OverlayRoot):
        if not choice.mode.mounts:
            raise SandboxError(f"an overlay root needs a mount, which {choice.name} mode does not have")
        send_message(channel, _run(channel, StepRun(spec, choice, filter_, spec.root.upper, "", on_terminal), output))
        return
    path, note = spec.root.path, ""
    container = ContainerRoot.of(choice) if choice.mode.shares_root else None
    if container is not None and (taken := _taken(path, spec, choice, container)):
        container, choice = None, replace(choice, name=choice.mode.fallback)
        note = f"{taken} is taken in this container, so this step runs in {choice.name} mode: it has no /proc"
    base = path if container is None else container.top
    step = StepRun(spec, choice, filter_, base, f"{path}.aside", on_terminal)
    reply = _run(channel, step, output) if container is None else _run_in_place(channel, step, output, path, container)
    if note and isinstance(reply, RunResult):
        reply = replace(reply, notes=(note, *reply.notes))
    send_message(channel, reply)


def _taken(path: str, spec: RunSpec, choice: Choice, container: ContainerRoot) -> str:
    """The path of something in the container that keeps this step from having its root; empty when nothing does. A step in
    place has the container's /dev, so devices that it must not open count."""
    if obstacle := inplace.obstacle(path, spec, container):
        return obstacle
    return "" if choice.device_cgroup else next(iter(devices.foreign(container.path("dev"))), "")


def _run_in_place(
    channel: socket.socket, step: StepRun, output: tuple[int, int], path: str, container: ContainerRoot
) -> RunResult | Failure:
    volumes, own = inplace.volumes(container), container.own
    before = volume_writes.look(volumes, own)
    inplace.lend(path, container)
    try:
        reply = _run(channel, step, output)
    finally:
        inplace.give_back(container)
    if isinstance(reply, RunResult) and reply.exit_code == 0:
        written = volume_writes.check(before, volume_writes.look(volumes, own))
        return replace(reply, notes=(*reply.notes, *written), incomplete=bool(written))
    return reply


def _run(channel: socket.socket, step: StepRun, output: tuple[int, int]) -> RunResult | Failure:
    """Run the command and clean up after it. Raises SandboxError when processes of it cannot be ended: then nothing is touched that
    it may still change."""
    before = oom.kills()
    read, write = os.pipe()
    held = [] if step.choice.mode.mounts else _sources_held(step.spec)
    group = None
    if step.choice.pid_namespace:
        linux.unshare(linux.CLONE_NEWPID)
    else:
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        group = Group()
    process = os.fork()
    if process == 0:
        os.close(read)
        if group is not None:
            group.add(os.getpid())
        init.run(step, output, write)
    for fd in (*output, write):
        os.close(fd)
    report, timed_out = _watch(channel, read, process, step.spec.timeout)
    ended = _end_of(process)
    leftovers = _end_leftovers(group)
    created, touched = _clean(step, report)
    for fd in held:
        os.close(fd)
    end = report.end or CommandEnd(_KILLED if ended else 0)
    after = oom.kills() if end.status else before  # a shell or make that waited for what was killed ends with a status of its own
    if report.failure is not None and not timed_out:
        return report.failure
    return RunResult(
        exit_code=_KILLED if timed_out else end.status,
        created=created,
        timed_out=timed_out,
        oom_killed=not timed_out and before is not None and after is not None and after > before,
        leftovers=leftovers if end.leftovers is None else end.leftovers,
        touched=touched,
        notes=_notes(end),
        owner=end.owner,
        owners=end.owners,
        unrunnable=end.unrunnable,
    )


def _notes(end: CommandEnd) -> tuple[str, ...]:
    if not end.pretended:
        return ()
    names = ", ".join(str(each) for each in end.pretended)
    return (
        f"a process asked for user or group {names}, which this user namespace lacks: it and its files stay root's;"
        " a program that checks this fails",
    )


def _sources_held(spec: RunSpec) -> list[int]:
    """What will be moved to the command, held open, so that no other file gets the same inode meanwhile."""
    return [open_source(mount) for mount in spec.mounts if isinstance(mount, BindMount) and mount.movable]


def _end_of(process: int) -> int:
    """The status of the init process as :func:`os.waitstatus_to_exitcode` says it. Raises SandboxError when it does not end."""
    deadline = time.monotonic() + _CLEANING
    with suppress(OSError):
        poller = select.poll()
        descriptor = os.pidfd_open(process)
        poller.register(descriptor, select.POLLIN)
        poller.poll(_CLEANING * 1000)
        os.close(descriptor)
    while True:
        pid, status = os.waitpid(process, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
            reap.Ended(0, tuple(reap.described(pid) for pid in sorted(reap.descendants(os.getpid())))).check()
        time.sleep(0.002)


def _end_leftovers(group: Group | None) -> int:
    """End what the command left, where no PID namespace has done it; how many there were."""
    if group is None:
        return 0
    group.kill()
    ended = reap.end_children()
    group.remove()
    ended.check()
    return ended.killed


def _watch(channel: socket.socket, read: int, process: int, timeout: float | None) -> tuple[StepReport, bool]:
    """Wait for the end of the reports; kill it when the time is up or when the caller is gone."""
    deadline = None if timeout is None else time.monotonic() + timeout
    poller = select.poll()
    poller.register(read, select.POLLIN)
    poller.register(channel, select.POLLIN)
    data, timed_out, killed = bytearray(), False, False
    while True:
        wait = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        events = dict(poller.poll(wait))
        if read in events:
            chunk = os.read(read, 65536)
            if not chunk:
                break
            data += chunk
        if channel.fileno() in events:
            poller.unregister(channel)
            os.kill(process, signal.SIGKILL)
            killed = True
        if not events:
            if killed:
                break
            os.kill(process, signal.SIGKILL)
            timed_out = killed = True
        if killed:
            deadline = time.monotonic() + 1.0
    os.close(read)
    return reports.collect(bytes(data)), timed_out


def _clean(step: StepRun, report: StepReport) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Undo what was made for the command; what is gone again, and what only we have changed."""
    prepared = report.prepared
    if prepared is None:
        return (), ()
    times = targets.times_of(step.base, prepared.targets, [moved.path for moved in prepared.undo.moved])
    touched: tuple[str, ...] = ()
    if not step.choice.mode.mounts:
        touched = _touched(step.base, prepared)
        plain_root.undo(step.base, prepared.undo)
        remove_tree(step.aside)  # what could not go back, since the command has removed its directory
    return targets.clean(step.base, prepared.targets, times), touched


def _touched(base: str, prepared: Prepared) -> tuple[str, ...]:
    """The paths whose ctime is still the one that the preparation left."""
    found = [moved.path for moved in prepared.undo.moved]
    with Beneath(base) as files:
        for path, ctime in prepared.times:
            with suppress(OSError):
                if files.stat(path).st_ctime_ns == ctime:
                    found.append(path)
    return tuple(found)
