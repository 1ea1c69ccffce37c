"""Several repositories as one cache: each key has one of them (``--cache-repo a,b,c``).

Which one is decided by rendezvous hashing: the repository whose name and the key have the highest digest together. One more
repository takes over its share of the keys and moves no other; one less gives its keys to the others.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

from gazami.cache.entry import CacheEntry
from gazami.cache.repository import RepositoryStore
from gazami.cache.store import Blob, Listed
from gazami.errors import GazamiError
from gazami.image.manifest import Descriptor
from gazami.image.model import Origin, Remote
from gazami.values import replace

_NEAR = "near-"


class ShardedStore:
    """``shards`` are at least two; their order does not matter."""

    def __init__(self, shards: tuple[RepositoryStore, ...]) -> None:
        self._shards = shards

    @property
    def name(self) -> str:
        return ",".join(each.name for each in self._shards)

    def of(self, tag: str) -> RepositoryStore:
        return max(self._shards, key=lambda each: weight(each.name, tag))

    def get(self, tag: str, *, anew: bool = False) -> CacheEntry | None:
        return self.of(tag).get(tag, anew=anew)

    def origin(self, descriptor: Descriptor) -> Origin:
        """Of a blob alone nobody knows; ask the store that :meth:`of` gives."""
        return self._shards[0].origin(descriptor)

    def put(self, tags: tuple[str, ...], entry: CacheEntry, blobs: tuple[Blob, ...]) -> None:
        """Store the entry in the repository of each tag. The bytes go to one and are mounted from there where the others are on the
        same registry. The tag that only explains a miss gets no blobs where it would be the only one to need them. One repository
        that fails does not keep the others from having theirs."""
        wanted = {store: tuple(tag for tag in tags if self.of(tag) is store) for store in map(self.of, tags)}
        first: RepositoryStore | None = None
        failure: GazamiError | None = None
        for store, own in wanted.items():
            try:
                if all(tag.startswith(_NEAR) for tag in own):
                    store.put(own, replace(entry, layer=None, diff_id=None, files=None), ())
                    continue
                sent = blobs if first is None else tuple((each, data, Remote(first.repository)) for each, data, _ in blobs)
                store.put(own, entry, sent)
                first = first or store
            except GazamiError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def read(self, descriptor: Descriptor, limit: int) -> bytes:
        return self._shards[0].read(descriptor, limit)

    def entries(self) -> Iterator[Listed]:
        return itertools.chain.from_iterable(each.entries() for each in self._shards)

    def remove(self, *tags: str) -> None:
        """From every repository: an entry may be left from before one was added."""
        for store in self._shards:
            store.remove(*tags)


def weight(name: str, tag: str) -> bytes:
    """What the shards of a tag are compared by."""
    return hashlib.sha256(f"{name}\0{tag}".encode()).digest()
