"""Credentials on this machine's files while RUN steps share its root (the ``inplace`` isolation).

What the builder has read already and what is an ordinary file is taken away until the build is over: its bytes wait in this
process, whose memory a step cannot read. What lies on a mount (a secret of the pod) cannot be taken away, only told about.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress

from gazami.values import dataclass, field

_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Exposed:
    """``ordinary`` files can be hidden, ``others`` cannot: they are mounts, or will be read again."""

    ordinary: tuple[str, ...]
    others: tuple[str, ...]


def exposed(read: Iterable[str], unread: Iterable[str], mounts: Iterable[str]) -> Exposed:
    """Sort the files that exist. ``read`` are those that the builder needs no more, ``mounts`` the mount points of this
    process."""
    points = [point.rstrip("/") + "/" for point in mounts if point != "/"]
    ordinary: list[str] = []
    others: list[str] = []
    for path in dict.fromkeys(read):
        real = os.path.realpath(path)
        if not os.path.isfile(real):
            continue
        mounted = any(f"{real}/".startswith(point) for point in points)
        (others if mounted or os.path.getsize(real) > _MOST_BYTES else ordinary).append(path)
    others += [path for path in dict.fromkeys(unread) if os.path.exists(path)]
    return Exposed(tuple(ordinary), tuple(others))


@dataclass(slots=True)
class HiddenFiles:
    """Files that are away, to be put back by :meth:`restore`."""

    _files: dict[str, tuple[bytes, os.stat_result]] = field(default_factory=dict)

    def take(self, path: str) -> None:
        """Read a file and unlink it. Raises OSError."""
        real = os.path.realpath(path)
        with open(real, "rb") as file:
            info = os.fstat(file.fileno())
            data = file.read()
        os.unlink(real)
        self._files[real] = data, info

    def restore(self) -> None:
        """Put every file back as it was, unless there is a new one at its place."""
        while self._files:
            path, (data, info) = self._files.popitem()
            with suppress(OSError):
                os.makedirs(os.path.dirname(path), exist_ok=True)
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
                with open(fd, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fchown(fd, info.st_uid, info.st_gid)
                    os.fchmod(fd, stat.S_IMODE(info.st_mode))
                    os.utime(fd, ns=(info.st_atime_ns, info.st_mtime_ns))


def hide_files(paths: Iterable[str]) -> HiddenFiles:
    """Take the files away that can be."""
    hidden = HiddenFiles()
    for path in paths:
        with suppress(OSError):
            hidden.take(path)
    return hidden
