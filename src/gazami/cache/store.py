"""What keeps entries: a repository of a registry, or an OCI layout on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import BinaryIO, Protocol, TypeAlias

from gazami.cache.entry import CacheEntry
from gazami.image.manifest import Descriptor
from gazami.image.model import Origin
from gazami.values import fast_dataclass

OpenFile: TypeAlias = Callable[[], BinaryIO]

Blob: TypeAlias = tuple[Descriptor, OpenFile, Origin]
"""A blob of an entry: what it is, its bytes, and where else it may lie, so that it need not be sent."""


@fast_dataclass(frozen=True, slots=True)
class Listed:
    """An entry in a listing. ``used`` is when it last hit, where the store knows (a directory does)."""

    tag: str
    entry: CacheEntry
    used: datetime | None = None


class CacheStore(Protocol):
    """Safe to use from several threads. A tag is a key, or the name of an image's tree."""

    @property
    def name(self) -> str:
        """Where it is, for people."""
        ...

    def of(self, tag: str) -> CacheStore:
        """Where the entry of a tag is: this store, or the part of it that is asked for this tag."""
        ...

    def get(self, tag: str, *, anew: bool = False) -> CacheEntry | None:
        """The entry, or None; ``anew``: others may have stored it meanwhile. Raises :class:`GazamiError` when the store cannot be
        asked or the entry is broken."""
        ...

    def origin(self, descriptor: Descriptor) -> Origin:
        """The repository that has a blob of an entry."""
        ...

    def put(self, tags: tuple[str, ...], entry: CacheEntry, blobs: tuple[Blob, ...]) -> None:
        """Store an entry under its tags, its blobs first; each blob says where it may lie already."""
        ...

    def read(self, descriptor: Descriptor, limit: int) -> bytes:
        """A small blob of an entry, verified."""
        ...

    def entries(self) -> Iterator[Listed]: ...

    def remove(self, *tags: str) -> None: ...
