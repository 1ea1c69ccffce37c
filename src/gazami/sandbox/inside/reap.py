"""End what a command left running where no PID namespace does it.

This process is a child subreaper (prctl(2)), so orphaned descendants become its children. All of them are killed, and the
process groups that they are in, again and again until no child is left: a process whose parent dies comes to this one, and
a group is killed at once, so that none of it forks meanwhile. What is shown as a zombie may be a thread group whose first
thread has ended while others run, and is signalled like any other.

One that forks and ends without end can be faster than any list. Then everything in this container's PID namespace is stopped by one
system call, which no fork can escape, and goes on when the command's own processes are dead. Every loop has a deadline; what is
left then is named.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from gazami.errors import SandboxError
from gazami.values import fast_dataclass

PATIENCE = 8.0
"""Seconds after which a process that does not die (uninterruptible sleep) is given up."""
_DYING = 0.05
"""Seconds after which what still appears is taken for something that forks faster than it can be listed."""
_ROUNDS = 2
_REAPING = 0.5
"""Seconds of reaping at a time."""
_THREADS = 17
"""Where the number of threads stands in /proc/PID/stat, counted from the state (proc(5))."""
_MACHINES_NAMESPACE = 0xEFFFFFFC
"""The inode of the first PID namespace (PROC_PID_INIT_INO of the kernel)."""


@fast_dataclass(frozen=True, slots=True)
class Ended:
    """How many processes were found running, and the names of those that are left."""

    killed: int
    left: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises SandboxError for what is left: it may change files, so nothing that the command made can be believed."""
        if self.left:
            shown = ", ".join(self.left[:10]) + (" and others" if len(self.left) > 10 else "")
            raise SandboxError(
                f"processes of the step are still running after {PATIENCE:g} s of killing them: {shown}",
                hint="Nothing of this step is kept. Look for a file system that hangs, or end them as root of the machine.",
            )


def end_children(patience: float = PATIENCE) -> Ended:
    """Kill and reap every descendant of this process, which has no other children and takes no interest in SIGCHLD."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps whatever ends from here on
    killed: set[int] = set()
    deadline = time.monotonic() + patience
    stubborn = False
    while _reap():
        found = _stop_all_and_kill() if stubborn and in_container() else _kill(descendants(os.getpid()))
        killed |= found
        if time.monotonic() > deadline:
            return Ended(len(killed), tuple(sorted(map(described, found))) or ("something that forks without end",))
        stubborn = True
        _wait_for_the_killed()
    return Ended(len(killed))


def end_strangers(patience: float = PATIENCE) -> None:
    """Kill the descendants of this process that are in other sessions, and reap no others: it has children of its own."""
    own = os.getsid(0)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        strangers = {pid for pid in descendants(os.getpid()) if _session(pid) not in (own, None)}
        if not strangers:
            return
        for pid in _kill(strangers):
            with suppress(OSError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.002)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _wait_for_the_killed() -> None:
    """Give what was killed a moment to die, before heavier means are taken."""
    end = time.monotonic() + _DYING
    while _reap() and time.monotonic() < end:
        time.sleep(0.001)


def _reap() -> bool:
    """Reap what has ended, for a moment only: new ones may end as fast. True while there are children."""
    deadline = time.monotonic() + _REAPING
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0 and time.monotonic() < deadline:
            pass
    except ChildProcessError:
        return False
    return True


def _kill(pids: set[int]) -> set[int]:
    """Kill processes and the process groups that they are in; returns ``pids``."""
    groups = set[int]()
    for pid in pids:
        with suppress(OSError):
            groups.add(os.getpgid(pid))
            os.kill(pid, signal.SIGKILL)
    for group in groups - {0, os.getpgrp()}:
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)
    return pids


def _stop_all_and_kill() -> set[int]:
    """Stop every process that this one may signal, kill the descendants, let the others go on. Only in a container: elsewhere
    there is a PID namespace for each command, and other people's processes are here."""
    found = set[int]()
    with suppress(OSError):
        os.kill(-1, signal.SIGSTOP)
    try:
        for _ in range(_ROUNDS):
            found |= _kill(descendants(os.getpid()))
    finally:
        with suppress(OSError):
            os.kill(-1, signal.SIGCONT)
    return found


def in_container() -> bool:
    """Whether this process lives in a PID namespace other than the machine's own."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino != _MACHINES_NAMESPACE
    except OSError:
        return False


def descendants(ancestor: int) -> set[int]:
    """The descendants of ``ancestor`` that run, read from /proc; empty where there is no /proc."""
    below: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return set()
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] != b"Z" or int(fields[_THREADS]) > 1:
            below.setdefault(int(fields[1]), []).append(int(name))
    found: set[int] = set()
    queue = [ancestor]
    while queue:
        for child in below.get(queue.pop(), ()):
            if child not in found:
                found.add(child)
                queue.append(child)
    return found


def described(pid: int) -> str:
    """A process as people know it: its command line, or its name, and its number."""
    for name in ("cmdline", "comm"):
        with suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as file:
            text = file.read(200).replace(b"\0", b" ").decode(errors="replace").strip()
            if text:
                shown = "".join(character if character.isprintable() else "?" for character in text)
                return f"{shown} (process {pid})"
    return f"process {pid}"
