"""Whether the kernel killed a process of this control group because memory ran out: a counter, read before and after."""

from __future__ import annotations

from contextlib import suppress


def kills() -> int | None:
    """How many processes of the own memory control group the kernel has killed so far; None where it does not say."""
    for path in _candidates():
        with suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            for line in file:
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
    return None


def _candidates() -> list[str]:
    """The files that may hold the counter, the closest first; in a container the own group is often the mounted root."""
    found = []
    with suppress(OSError), open("/proc/self/cgroup", encoding="utf-8", errors="replace") as file:
        for line in file:
            _, controllers, group = line.rstrip("\n").split(":", 2)
            if controllers == "":
                found.append(f"/sys/fs/cgroup{group}/memory.events")
            elif "memory" in controllers.split(","):
                found.append(f"/sys/fs/cgroup/memory{group}/memory.oom_control")
    return [*found, "/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"]
