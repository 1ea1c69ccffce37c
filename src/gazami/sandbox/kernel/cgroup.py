"""A control group of a command's own, where this process may make one: ``cgroup.kill`` ends all that is in it at once.

Only version 2 has that (cgroups(7), Linux 5.14). In most containers the hierarchy is read-only, and other ways remain.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from gazami.sandbox.kernel.mountinfo import mounts

_SECONDS = 0.5


class Group:
    """A group below the one that this process is in. It never fails: without one it does nothing."""

    def __init__(self) -> None:
        self._path = ""
        with suppress(OSError, ValueError):
            path = f"{_own_group()}/gazami-{os.getpid()}"
            os.mkdir(path)
            self._path = path
            if not os.access(f"{path}/cgroup.kill", os.W_OK):
                self.remove()

    def add(self, pid: int) -> None:
        """Put a process into it, before it has children."""
        if self._path:
            with suppress(OSError), open(f"{self._path}/cgroup.procs", "wb", buffering=0) as file:
                file.write(str(pid).encode())

    def kill(self) -> None:
        """Kill everything in it."""
        if self._path:
            with suppress(OSError), open(f"{self._path}/cgroup.kill", "wb", buffering=0) as file:
                file.write(b"1")

    def remove(self) -> None:
        """Remove it, when what was killed has been reaped."""
        deadline = time.monotonic() + _SECONDS
        while self._path and time.monotonic() < deadline:
            try:
                os.rmdir(self._path)
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.001)
        self._path = ""


def _own_group() -> str:
    """The directory of the own group in a hierarchy of version 2. Raises ValueError where there is none."""
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        group = next(line.rstrip("\n")[3:] for line in file if line.startswith("0::"))
    point = next((mount.point for mount in mounts() if mount.fstype == "cgroup2"), None)
    if point is None or "/.." in group:
        raise ValueError("no control groups of version 2")
    return f"{point}{group}".rstrip("/")
