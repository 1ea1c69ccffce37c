"""The size of this machine's own cache: what was used longest ago goes first, once a build has stored something."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from gazami.cache.directory import DirectoryStore
from gazami.cache.prune import last_used, to_prune

_ROOM = 0.9
"""The part of the bound that is left after a pruning, so that not each build prunes."""

MOST_INDEX = 2 << 20
"""Bytes of the list of entries, some thousands: it is written anew with each entry."""

RESERVE = 512 << 20
"""Bytes that the file system keeps free of the cache: a build needs room too."""


def keep_within(store: DirectoryStore, bound: int) -> int:
    """Remove entries until the blobs have at most ``bound`` bytes, and a part of their file system; how many went. Raises
    :class:`HostError`."""
    bound = min(bound, _part(store.folder))
    long = _index_size(store.folder) > MOST_INDEX
    if size_of(store.folder) <= bound and not long:
        return 0
    entries = sorted(store.entries(), key=last_used)
    gone = {each.tag for each in to_prune(entries, datetime.now(UTC), max_size=int(bound * _ROOM))}
    if long:
        gone |= {each.tag for each in entries[: len(entries) // 4]}
    store.remove(*sorted(gone))
    return len(gone)


def _part(folder: Path) -> int:
    """A quarter of a file system: it may be a tmpfs, and so memory."""
    try:
        info = os.statvfs(folder)
    except OSError:
        return 0
    return info.f_blocks * info.f_frsize // 4


def _index_size(folder: Path) -> int:
    try:
        return os.stat(folder / "index.json").st_size
    except OSError:
        return 0


def size_of(folder: Path) -> int:
    """Bytes of the blobs of a layout, without reading any. 0 where there is none."""
    total = 0
    try:
        with os.scandir(folder / "blobs" / "sha256") as entries:
            for entry in entries:
                try:
                    total += entry.stat(follow_symlinks=False).st_size
                except OSError:
                    continue  # another build has removed it
    except OSError:
        return 0
    return total


def has_room(folder: Path) -> bool:
    """Whether the file system of a folder has more than its reserve."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    info = os.statvfs(folder)
    return info.f_bavail * info.f_frsize > RESERVE
