"""Which entries to remove: pure decisions over a listing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from gazami.cache.store import Listed


def to_prune(
    listed: Iterable[Listed],
    now: datetime,
    *,
    older_than: float | None = None,
    unused_for: float | None = None,
    max_size: int | None = None,
) -> list[Listed]:
    """Entries that were made longer ago than ``older_than`` seconds, that have not hit for ``unused_for`` seconds, and then
    the least recently used ones until the blobs of the others have at most ``max_size`` bytes together."""
    entries = list(listed)
    gone = [
        each
        for each in entries
        if (older_than is not None and each.entry.created + timedelta(seconds=older_than) < now)
        or (unused_for is not None and last_used(each) + timedelta(seconds=unused_for) < now)
    ]
    if max_size is not None:
        chosen = {each.tag for each in gone}
        left = sorted((each for each in entries if each.tag not in chosen), key=last_used)
        while left and total_size(left) > max_size:
            gone.append(left.pop(0))
    return gone


def last_used(listed: Listed) -> datetime:
    """When an entry last hit; when it was made, where the store does not know."""
    return listed.used or listed.entry.created


def total_size(listed: Iterable[Listed]) -> int:
    """Bytes of the blobs, those that several entries share counted once."""
    blobs = {
        blob.digest: blob.size for each in listed for blob in (each.entry.layer, each.entry.index) if blob is not None
    }
    return sum(blobs.values())
