"""Whether a build's unpacked files fit into memory: creating them on a tmpfs costs a fraction of what a disk takes.

The estimate is made from the sizes in the manifests before anything is fetched; what RUN will write is unknown, so a part of
the room is left for it, and later directories go to the disk when it gets scarce.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from gazami.image.digest import Digest
from gazami.image.manifest import Descriptor

PLACE = "/dev/shm"
GROWTH = 4
"""Unpacked bytes for each compressed one, at the outside."""

RESERVE = 8 << 30
"""Bytes that stay free for what RUN writes: more than most write, since a control group that runs out of memory kills."""

_SHARE = 0.5
"""Part of the memory that is available now that a build may fill."""


def estimate(layers: Iterable[Descriptor]) -> int:
    """Bytes of unpacked layers, each counted once."""
    sizes: dict[Digest, int] = {layer.digest: layer.size for layer in layers}
    return GROWTH * sum(sizes.values())


def fits(needed: int, place: str = PLACE) -> bool:
    """Whether so many bytes, and some more, fit into the tmpfs at ``place``."""
    return _is_usable(place) and room(place) >= needed + RESERVE


def is_scarce(place: str) -> bool:
    """Whether new directories had better go to a disk."""
    return room(place) < RESERVE // 4


def room(place: str) -> int:
    """Bytes that may be written to a tmpfs: what it has free, and what the machine and the control group can spare."""
    try:
        info = os.statvfs(place)
    except OSError:
        return 0
    return min(info.f_bavail * info.f_frsize, int(_SHARE * _available()))


def _is_usable(place: str) -> bool:
    """A tmpfs of this user's reach on which programs may run."""
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return False
    for line in mounts:
        fields = line.split()
        if len(fields) > 3 and fields[1] == place:
            return fields[2] == "tmpfs" and "noexec" not in fields[3].split(",") and os.access(place, os.W_OK | os.X_OK)
    return False


def _available() -> int:
    left = [_memory_available()]
    for limit, used, cache in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
            "/sys/fs/cgroup/memory/memory.stat",
        ),
    ):
        with contextlib.suppress(OSError, ValueError):
            most = int(Path(limit).read_text())  # "max" is no number: there is no limit
            left.append(most - int(Path(used).read_text()) + _reclaimable(cache))
    return max(0, min(left))


def memory_limit() -> int | None:
    """Bytes that the control group may use; None without a limit. In a container the own group is often the mounted root."""
    paths: list[str] = []
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if not controllers:
                paths.append(f"/sys/fs/cgroup{group}/memory.max")
            elif "memory" in controllers.split(","):
                paths.append(f"/sys/fs/cgroup/memory{group}/memory.limit_in_bytes")
    for path in (*paths, "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            limit = int(Path(path).read_text())
            return limit if limit < 1 << 60 else None
    return None


def _memory_available() -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def _reclaimable(stat: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(stat).read_text().splitlines():
            if line.startswith(("inactive_file ", "total_inactive_file ")):
                return int(line.split()[1])
    return 0
