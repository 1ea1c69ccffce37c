"""What a state directory holds between builds, how large it is, and how it is emptied.

Only what no build uses is removed: a cache mount may be part of a running step, so none goes while a build runs here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from gazami.builder.files.workspace import remove_stale
from gazami.layer.beneath import remove_tree
from gazami.values import fast_dataclass

Kind = Literal["layer cache", "cache mounts", "trees", "builds"]

FOLDERS: dict[Kind, str] = {"layer cache": "cache", "cache mounts": "cache-mounts", "trees": "indexes"}
_BUILDS = "build-*"


@fast_dataclass(frozen=True, slots=True)
class Usage:
    """``size`` in bytes; ``files`` are regular files. Files of other users of a namespace may not be readable, and do not count."""

    kind: Kind
    place: Path
    size: int
    files: int


def usage(state: Path) -> list[Usage]:
    """What there is, in a fixed order: running builds and what killed ones left count together."""
    found = [_measured(kind, state / name) for kind, name in FOLDERS.items()]
    builds = [_measured("builds", folder) for folder in sorted(state.glob(_BUILDS))]
    return [*found, Usage("builds", state, sum(each.size for each in builds), sum(each.files for each in builds))]


def is_in_use(state: Path) -> bool:
    """Whether a build runs with this state directory."""
    return any(_is_locked(folder / "lock") for folder in state.glob(_BUILDS))


def empty(state: Path, kind: Kind) -> bool:
    """Remove everything of a kind; whether nothing of it stays. Of ``builds`` those that were killed. Raises OSError."""
    if kind == "builds":
        remove_stale(state)
        return True
    folder = state / FOLDERS[kind]
    if not folder.exists():
        return True
    old = folder.with_name(f".old-{folder.name}-{os.urandom(4).hex()}")
    folder.rename(old)  # a build that begins now makes a new one
    remove_tree(str(old))
    if not old.exists():
        return True
    with contextlib.suppress(OSError):
        old.rename(folder)
    return False


def _measured(kind: Kind, folder: Path) -> Usage:
    sizes = [*_sizes(folder)]
    return Usage(kind, folder, sum(sizes), len(sizes))


def _sizes(folder: Path) -> Iterator[int]:
    """Bytes on disk of the regular files, links counted once."""
    seen: set[tuple[int, int]] = set()
    for top, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                info = os.lstat(f"{top}/{name}")
                if (info.st_dev, info.st_ino) not in seen:
                    seen.add((info.st_dev, info.st_ino))
                    yield info.st_blocks * 512


def _is_locked(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
