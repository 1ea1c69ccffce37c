"""Credentials on this machine's files while RUN steps share its root (the ``inplace`` isolation).

What the builder has read already and what is an ordinary file is removed until the build ends; its bytes stay in memory that a step
cannot read. A mount (a secret of the pod) cannot be removed; the log names it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from gazami.values import fast_dataclass

_MOST_BYTES = 1 << 20


@fast_dataclass(frozen=True, slots=True)
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
    for path in dict.fromkeys(os.path.normpath(each) for each in read):
        real = os.path.realpath(path)
        if not os.path.isfile(real):
            continue
        mounted = any(f"{real}/".startswith(point) for point in points)
        (others if mounted or os.path.getsize(real) > _MOST_BYTES else ordinary).append(path)
    others += [path for path in dict.fromkeys(os.path.normpath(each) for each in unread) if os.path.exists(path)]
    return Exposed(tuple(ordinary), tuple(others))
