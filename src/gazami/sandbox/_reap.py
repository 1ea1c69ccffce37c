"""End what a command left running where no PID namespace does it.

This process is a child subreaper, so orphaned descendants become its children. They are stopped first, so that none
forks while the list is read, then killed and reaped, again and again until no child is left.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

_PATIENCE = 10.0
"""Seconds after which a process that cannot be killed (uninterruptible sleep) is given up."""


def descendants(ancestor: int) -> set[int]:
    """The live descendants of ``ancestor``, read from /proc; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
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
        if fields[0] != b"Z":
            children.setdefault(int(fields[1]), []).append(int(name))
    found: set[int] = set()
    queue = [ancestor]
    while queue:
        for child in children.get(queue.pop(), ()):
            if child not in found:
                found.add(child)
                queue.append(child)
    return found


def _reap_now() -> bool:
    """Reap what has ended; True while there are children."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        return False
    return True


def end_children() -> int:
    """Kill and reap every descendant of this process; returns how many were found running."""
    killed: set[int] = set()
    deadline = time.monotonic() + _PATIENCE
    while _reap_now() and time.monotonic() < deadline:
        stopped: set[int] = set()
        while fresh := descendants(os.getpid()) - stopped:
            for pid in fresh:
                with suppress(OSError):
                    os.kill(pid, signal.SIGSTOP)
            stopped |= fresh
        for pid in stopped:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        killed |= stopped
        time.sleep(0.002)
    return len(killed)
