"""Which entries to remove: pure decisions over a listing."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from datetime import datetime, timedelta

from gazami.cache.store import Listed
from gazami.image.manifest import Descriptor


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
        gone += _oldest([each for each in entries if each.tag not in chosen], max_size)
    return gone


def _oldest(entries: list[Listed], max_size: int) -> list[Listed]:
    """The least recently used entries without which the blobs of the rest have at most ``max_size`` bytes."""
    users = collections.Counter(blob.digest for each in entries for blob in _blobs(each))
    size = total_size(entries)
    gone: list[Listed] = []
    for each in sorted(entries, key=last_used):
        if size <= max_size:
            break
        gone.append(each)
        for blob in _blobs(each):
            users[blob.digest] -= 1
            if not users[blob.digest]:
                size -= blob.size
    return gone


def _blobs(listed: Listed) -> list[Descriptor]:
    """The blobs of an entry, each once."""
    blob = listed.entry.file_blob
    both = (listed.entry.layer, blob.descriptor if blob is not None else None)
    return list({blob.digest: blob for blob in both if blob is not None}.values())


def last_used(listed: Listed) -> datetime:
    """When an entry last hit; when it was made, where the store does not know."""
    return listed.used or listed.entry.created


def total_size(listed: Iterable[Listed]) -> int:
    """Bytes of the blobs, those that several entries share counted once."""
    return sum({blob.digest: blob.size for each in listed for blob in _blobs(each)}.values())
