"""One command, from request to reply. Three processes of the server's take part:

* the *handler*, one per request, stays in the server's namespaces: it watches the clock and the caller, kills, and cleans up;
* the *keeper* enters namespaces of its own, furnishes the root, starts the command and reaps; it is process 1 of the
  PID namespace, so the kernel kills everything else in there when it ends;
* the *command*.

Keeper and command report to the handler through one pipe, a JSON object a line: ``{"record": …}`` what was made in the
root, ``{"error": …}``, ``{"status": …}``. The pipe closes in the command when exec succeeds.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from gazami.errors import SandboxError, SpaceError
from gazami.layer.beneath import Beneath, remove_tree
from gazami.sandbox.inside import (
    chroot,
    devices,
    inplace,
    kernel_files,
    launch,
    oom,
    reap,
    root_setup,
    targets,
    volume_writes,  # fmt: skip
)
from gazami.sandbox.inside.launch import Filter
from gazami.sandbox.inside.root_setup import Room, Setting
from gazami.sandbox.inside.targets import Targets
from gazami.sandbox.kernel import linux, namespaces, notify
from gazami.sandbox.kernel.cgroup import Group
from gazami.sandbox.kernel.notify import Supervisor
from gazami.sandbox.protocol import describe_error, send_message
from gazami.sandbox.spec import BindMount, OverlayRoot, PlainRoot, RunSpec

_KILLED = 128 + signal.SIGKILL
_WITHOUT = {"chroot": frozenset({launch.SYS_CHROOT}), "inplace": frozenset({launch.SETPCAP})}
"""Capabilities that a command does not get: leaving a chroot is one, and a process that lacks one of those that the other
processes of this container have can look into none of them (ptrace(2), "Ptrace access mode checking")."""
_CLEANING = 30.0
"""Seconds that the keeper may take to end when its command has, with all the processes of its PID namespace."""


def run(
    channel: socket.socket, spec: RunSpec, output: tuple[int, int], setting: Setting, filter_: Filter | None
) -> None:
    """Run the command and send the reply; the caller's closing of ``channel`` kills it."""
    notes: tuple[str, ...] = ()
    if setting.ground is not None and isinstance(spec.root, PlainRoot):
        obstacle = inplace.obstacle(spec.root.path, spec, setting.ground) or _devices_in_the_way(setting)
        if obstacle:
            notes = (f"{obstacle} is taken in this container, so this step runs in chroot mode: it has no /proc",)
            setting = replace(setting, mode="chroot", ground=None)
    if setting.ground is None or not isinstance(spec.root, PlainRoot):
        answer = _run_in(channel, spec, output, setting, filter_)
    else:
        volumes, own = inplace.volumes(setting.ground), setting.ground.own
        before = volume_writes.look(volumes, own)
        inplace.lend(spec.root.path, setting.ground)
        try:
            answer = _run_in(channel, spec, output, setting, filter_)
        finally:
            inplace.give_back(setting.ground)
        if answer.get("exit_code") == 0:
            volume_writes.check(before, volume_writes.look(volumes, own))
    if ids := answer.pop("pretended", ()):
        names = ", ".join(str(each) for each in ids)
        notes = (
            *notes,
            f"a process asked to become user or group {names}, which there is not: it stayed root, and so did its files;"
            " if it checks that, it has failed",
        )
    send_message(channel, {**answer, "notes": notes})


def _devices_in_the_way(setting: Setting) -> str:
    """A device of the container that a step must not have; it has the container's /dev when it runs in place."""
    assert setting.ground is not None
    return "" if setting.device_cgroup else next(iter(devices.foreign(setting.ground.path("dev"))), "")


def _run_in(
    channel: socket.socket, spec: RunSpec, output: tuple[int, int], setting: Setting, filter_: Filter | None
) -> dict[str, Any]:
    """The command's whole life; what to answer. Raises SandboxError when processes of it cannot be ended: then nothing is
    touched that it may still change."""
    before = oom.kills()
    read, write = os.pipe()
    held = [] if setting.mounts else _sources_held(spec)
    group = None
    if setting.pid_namespace:
        linux.unshare(linux.CLONE_NEWPID)
    else:
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        group = Group()
    keeper = os.fork()
    if keeper == 0:
        os.close(read)
        if group is not None:
            group.add(os.getpid())
        _keep(spec, output, write, setting, filter_)
    for fd in (*output, write):
        os.close(fd)
    report, timed_out = _watch(channel, read, keeper, spec.timeout)
    ended = _end_of(keeper)
    leftovers = _end_leftovers(group)
    created, touched = _clean(spec, report, setting)
    for fd in held:
        os.close(fd)
    status = report.get("status", _KILLED if ended else 0)
    after = oom.kills() if status == _KILLED else before
    if "error" in report and not timed_out:
        return {"error": report["error"]}
    return {
        "exit_code": _KILLED if timed_out else status,
        "created": created,
        "touched": touched,
        "owner": report.get("owner", (0, 0)),
        "owners": report.get("owners", {}),
        "pretended": report.get("pretended", ()),
        "timed_out": timed_out,
        "oom_killed": not timed_out and before is not None and after is not None and after > before,
        "leftovers": report.get("leftovers", leftovers),
    }


def _sources_held(spec: RunSpec) -> list[int]:
    """What will be lent to the command, held open, so that no other file gets the same inode meanwhile."""
    return [root_setup.open_source(mount) for mount in spec.mounts if isinstance(mount, BindMount) and mount.movable]


def _end_of(keeper: int) -> int:
    """The keeper's status as :func:`os.waitstatus_to_exitcode` says it. Raises SandboxError when it does not end."""
    deadline = time.monotonic() + _CLEANING
    with suppress(OSError):
        poller = select.poll()
        descriptor = os.pidfd_open(keeper)
        poller.register(descriptor, select.POLLIN)
        poller.poll(_CLEANING * 1000)
        os.close(descriptor)
    while True:
        pid, status = os.waitpid(keeper, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(keeper, signal.SIGKILL)
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


def _watch(channel: socket.socket, read: int, keeper: int, timeout: float | None) -> tuple[dict[str, Any], bool]:
    """Wait for the end of the keeper's reports; kill it when the time is up or when the caller is gone."""
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
            os.kill(keeper, signal.SIGKILL)
            killed = True
        if not events:
            if killed:
                break
            os.kill(keeper, signal.SIGKILL)
            timed_out = killed = True
        if killed:
            deadline = time.monotonic() + 1.0
    os.close(read)
    report: dict[str, Any] = {}
    for line in bytes(data).splitlines():
        with suppress(ValueError):
            report.update(json.loads(line))
    return report, timed_out


def _base(spec: RunSpec, setting: Setting) -> str:
    """Where the files of the root are to be seen while the command runs, or its changes with an overlay."""
    if isinstance(spec.root, OverlayRoot):
        return spec.root.upper
    return spec.root.path if setting.ground is None else setting.ground.top


def _clean(spec: RunSpec, report: dict[str, Any], setting: Setting) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Undo what was made for the command; what is gone again, and what only we have changed."""
    base, record = _base(spec, setting), report.get("record")
    if record is None:
        return (), ()
    times = targets.times_of(base, record, [item["path"] for item in report.get("loan", {}).get("placed", ())])
    touched = _touched(base, report)
    if "loan" in report:
        chroot.take_back(base, report["loan"])
        remove_tree(_aside(spec))  # what could not go back, since the command has removed its directory
    return targets.clean(base, record, times), touched


def _touched(base: str, report: dict[str, Any]) -> tuple[str, ...]:
    """The paths whose ctime is still the one that the preparation left."""
    found = [item["path"] for item in report.get("loan", {}).get("placed", ())]
    with Beneath(base) as files:
        for path, ctime in report.get("ctimes", {}).items():
            with suppress(OSError):
                if files.stat(path).st_ctime_ns == ctime:
                    found.append(path)
    return tuple(found)


def _aside(spec: RunSpec) -> str:
    """A directory next to a plain root, for what has to make room in it."""
    return f"{spec.root.path}.aside" if isinstance(spec.root, PlainRoot) else ""


def _keep(spec: RunSpec, output: tuple[int, int], reports: int, setting: Setting, filter_: Filter | None) -> NoReturn:
    """The keeper's whole life. Never returns."""
    gc.disable()
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        launch.arrange_descriptors(output, reports)
        if _handler_is_gone():
            os._exit(1)
        if not setting.pid_namespace:
            linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        started = _start(spec, setting, filter_)
        status = _wait_for(started.command)
        _report({**_owners(started), "status": status, **_leftovers(started.children)})
    except BaseException as error:
        _report({"error": describe_error(_explain(error))})
    finally:
        os._exit(0)


@dataclass(frozen=True, slots=True)
class Started:
    """``children`` is the file that lists the keeper's children, which what the command leaves becomes; ``changes`` a path below
    which the command's changes are seen from its root."""

    children: int | None
    command: int
    supervisor: Supervisor | None
    changes: str


def _start(spec: RunSpec, setting: Setting, filter_: Filter | None) -> Started:
    """Furnish the root, enter it and fork the command."""
    targets = Targets()
    children = None
    with suppress(OSError):
        children = os.open("/proc/thread-self/children", os.O_RDONLY | os.O_CLOEXEC)
    if not setting.mounts:
        room = _furnish_plain(spec, setting, targets)
    else:
        _own_namespaces(spec)
        try:
            room = root_setup.furnish(spec, setting, targets)
        finally:
            _report({"record": targets.to_json()})
        root_setup.enter(room)
    supervisor, channel = _supervise(room, setting)
    command = os.fork()
    if command == 0:
        try:
            if channel is not None:
                spec = _become_recorded(spec, room, channel)
            keep = launch.DOCKER_CAPABILITIES - _WITHOUT.get(setting.mode, frozenset())
            if not (setting.mounts or setting.device_cgroup):
                keep -= {launch.MKNOD}
            launch.become(spec, room.account, filter_, keep, guarded=setting.pid_namespace)
        except BaseException as error:
            _report({"error": describe_error(_explain(error))})
        finally:
            os._exit(1)
    os.close(room.root)
    os.close(room.cwd)
    if channel is not None:
        channel.close()
    if supervisor is not None:
        supervisor.start()
    changes = "/"
    if targets.upper is not None:  # reached as this process's directory: a step may have mounted something over /proc
        os.fchdir(targets.upper)
        changes = "."
    return Started(children, command, supervisor, changes)


def _supervise(room: Room, setting: Setting) -> tuple[Supervisor | None, socket.socket | None]:
    """Whoever notes the owners of files, and the command's end of the line to it."""
    if not setting.records_owners:
        return None, None
    ours, theirs = socket.socketpair()
    return Supervisor(ours, room.account.uid, room.account.gid), theirs


def _become_recorded(spec: RunSpec, room: Room, channel: socket.socket) -> RunSpec:
    """In the command's process, where only one id exists: that is the user's, and changes of owner go to the supervisor."""
    program = notify.filter_program(linux.MACHINE)
    if program is None:
        raise SandboxError(f"owners cannot be recorded on {linux.MACHINE}")
    if room.account.uid:
        linux.prctl(linux.PR_SET_DUMPABLE, 1)  # or its own files in /proc are not its own
        namespaces.enter_with_one_id(room.account.uid, room.account.gid)
    notify.install(program, channel)
    if any(name == "APT_CONFIG" for name, _ in spec.env) or not os.path.isdir("/etc/apt"):
        return spec
    return replace(spec, env=(*spec.env, ("APT_CONFIG", kernel_files.APT_CONFIG)))


def _furnish_plain(spec: RunSpec, setting: Setting, targets: Targets) -> Room:
    """Prepare a root without mounts and enter it."""
    loan = chroot.Loan(targets, _aside(spec))
    base = _base(spec, setting)
    place = root_setup.RESOLV_CONF if setting.ground is None else setting.ground.of_container(root_setup.RESOLV_CONF)
    try:
        room = chroot.furnish(
            replace(spec, root=PlainRoot(base)),
            loan,
            setting.mode,
            root_setup.resolv_conf(place),
            devices=setting.device_cgroup,
        )
    finally:
        _report({"record": targets.to_json(), "loan": loan.to_json()})
    ctimes = chroot.change_times(base, loan)
    if setting.ground is None:
        chroot.enter(room)
    else:
        ctimes |= inplace.change_times(setting.ground)
        os.fchdir(room.cwd)
    _report({"ctimes": ctimes})
    return room


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


def _owners(started: Started) -> dict[str, Any]:
    """What the supervisor knows at the end."""
    by = started.supervisor
    if by is None:
        return {}
    return {
        "owner": (by.uid, by.gid),
        "owners": by.changed_links("/", started.changes),
        "pretended": sorted(by.pretended),
    }


def _leftovers(children: int | None) -> dict[str, int]:
    """How many processes the command has left, where the kernel says it (CONFIG_PROC_CHILDREN)."""
    return {} if children is None else {"leftovers": len(os.pread(children, 1 << 20, 0).split())}


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


def _report(message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(launch.REPORTS, data) :]
