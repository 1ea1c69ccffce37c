"""The stores of a build's layer cache: read in order, written in the background.

Reading and storing never fail a build: the first failure of a store is a warning, and the build goes on without it.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from gazami.builder.request import CacheOptions
from gazami.builder.stages.carry_out import Hit
from gazami.cache.directory import DirectoryStore
from gazami.cache.entry import CacheEntry, FileList
from gazami.cache.store import Blob, CacheStore
from gazami.cancel import Cancel
from gazami.errors import Cancelled, GazamiError, IntegrityError
from gazami.events import Emit, Message
from gazami.image.model import Layer, LocalFile
from gazami.rootfs.kept_tree import MAX_TREE
from gazami.values import fast_dataclass, field, replace

_WRITERS = 8
"""Entries at the same time: most of what they do is to wait for answers."""


@fast_dataclass(slots=True)
class Stores:
    """``places`` are read in order; the first is written to, if the build may push. ``hides_hits``: use no hits, but store the
    build's layers over broken ones. A context manager: leaving it waits for what is being stored, unless the build was
    cancelled."""

    places: tuple[CacheStore, ...]
    options: CacheOptions
    emit: Emit
    cancel: Cancel
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    hides_hits: bool = False
    _silent: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _writers: ThreadPoolExecutor | None = None
    _writes: list[Future[None]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.places[0].name

    # -- reading --------------------------------------------------------------------------------------------------

    def get(self, tag: str, *, any_age: bool = False, anew: bool = False) -> tuple[CacheStore, CacheEntry] | None:
        """The entry of a tag that is young enough, and where it is."""
        for place in () if self.hides_hits else self.places:
            store = place.of(tag)
            if store.name in self._silent:
                continue
            try:
                entry = store.get(tag, anew=anew)
            except Cancelled:
                raise
            except IntegrityError as error:
                self._warn_once(f"damaged {store.name}", f"the cache {store.name} is damaged, building what it lacks: {error}")
                continue
            except GazamiError as error:
                self._warn_once(store.name, _unreadable(store.name, error))
                continue
            if entry is not None and (any_age or self._is_fresh(entry)):
                return store, entry
        return None

    def find(self, tag: str, *, any_age: bool = False, anew: bool = False) -> Hit | None:
        """The layer of a tag; ``anew``: another build may have stored it since this one asked."""
        found = self.get(tag, any_age=any_age, anew=anew)
        if found is None or found[1].layer is None or found[1].diff_id is None:
            return None
        store, entry = found
        assert entry.layer is not None
        assert entry.diff_id is not None
        # what a base says of its layers stays in the image, and what a cache says of a step's is nothing of it
        layer = Layer(replace(entry.layer, annotations=()), entry.diff_id, store.origin(entry.layer))
        return Hit(layer, entry.created, (store, entry.files) if entry.files is not None else None)

    def read_tree(self, tag: str) -> bytes | None:
        """The tree of an image, as stored; not verified."""
        found = self.get(tag, any_age=True)
        if found is None or found[1].files is None:
            return None
        store, entry = found
        assert entry.files is not None
        try:
            return entry.files.read(store.read, MAX_TREE)
        except (GazamiError, OSError):
            return None

    def _is_fresh(self, entry: CacheEntry) -> bool:
        return self.options.ttl <= 0 or self.now() - entry.created < timedelta(seconds=self.options.ttl)

    def _warn_once(self, name: str, text: str) -> None:
        with self._lock:
            if name in self._silent:
                return
            self._silent.add(name)
        self.emit(Message("warning", text))

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, work: Callable[[CacheStore], None], skipped: Callable[[], None] = lambda: None) -> None:
        """Do something with the store that is written to, in the background, if the build may. ``skipped`` is called where the
        store takes nothing any more."""
        if not self.options.push:
            return
        store = self.places[0]

        def guarded() -> None:
            if self._silent & {store.name, f"write {store.name}"} or not self._has_room(store):
                skipped()
                return
            try:
                work(store)
            except Cancelled:
                raise
            except (GazamiError, OSError) as error:  # a blob that was pruned meanwhile, a disk that is full
                self._warn_once(f"write {store.name}", f"cannot store layers in the cache {store.name}: {error}")

        with self._lock:
            if self._writers is None:
                self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="cache-write")
            self._writes.append(self._writers.submit(guarded))

    def write_tree(self, tag: str, data: bytes) -> None:
        """Store the tree of an image."""
        if self.options.push:
            entry = CacheEntry(self.now(), text="the files of an image", files=FileList.of(data))
            self.write(lambda store: store.put((tag,), entry, file_blobs(entry)))

    def _has_room(self, store: CacheStore) -> bool:
        """This machine's own cache leaves some space to builds; what others named is theirs to fill."""
        if not self.options.bound:
            return True
        from gazami.cache.bound import has_room

        assert isinstance(store, DirectoryStore)
        return has_room(store.folder)

    def _keep_within(self, bound: int) -> None:
        from gazami.cache.bound import keep_within

        store = self.places[0]
        assert isinstance(store, DirectoryStore)
        try:
            keep_within(store, bound)
        except Cancelled:
            raise
        except (GazamiError, OSError) as error:
            self._warn_once(f"prune {store.name}", f"cannot prune the cache {store.name}: {error}")

    def __enter__(self) -> Stores:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writers is None:
            return
        if any(not each.done() for each in self._writes) and not self.cancel.is_set and not self.options.bound:
            self.emit(Message("info", f"writing layers to the cache {self.name}"))
        self._writers.shutdown(wait=True, cancel_futures=self.cancel.is_set)
        if self.options.bound and not self.cancel.is_set:
            self._keep_within(self.options.bound)
        if kind is None:  # else there is an error already that says more
            for write in self._writes:
                write.result()


def _unreadable(name: str, error: GazamiError) -> str:
    if getattr(error, "status", None) == 412:  # Harbor, of an artifact without a signature
        return (
            f"the registry hands out no unsigned artifacts of the cache {name}, building without it: --cache-repo with a "
            f"project that allows them ({error})"
        )
    return f"cannot read the cache {name}, building without it: {error}"


def file_blobs(entry: CacheEntry) -> tuple[Blob, ...]:
    """The blob of an entry's list of files, where that is one of its own and its bytes are here."""
    files = entry.file_blob
    data = files.data if files is not None else None
    if files is None or data is None:
        return ()
    return ((files.descriptor, lambda: io.BytesIO(data), LocalFile("")),)
