"""The layer cache in a build: everything is looked up before anything runs, and what was made is stored meanwhile.

Reading and storing never fail a build: the first trouble is told as a warning, and the build goes on without.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from gazami.builder.cached.keys import StepKeys, cacheable, near_tag
from gazami.builder.files.layer_files import LayerFiles, open_layer
from gazami.builder.request import CacheWishes
from gazami.cache.entry import INDEX, Entry
from gazami.cache.keys import Inputs, differences, key_of, record
from gazami.cache.store import Blob, CacheStore
from gazami.cancel import Cancel
from gazami.errors import Cancelled, GazamiError
from gazami.events import CacheChecked, Emit, Message
from gazami.image.digest import Digest, digest_of
from gazami.image.manifest import Descriptor
from gazami.image.model import Layer, LocalFile, Origin
from gazami.plan.steps import MetadataStep, Plan, StagePlan
from gazami.rootfs.index import MAX_INDEX, MAX_MEMBERS, Members, encode_members
from gazami.values import dataclass, field

THREADS = 32
"""Look-ups at the same time, so that their number is no number of round trips."""

_WRITERS = 2

Place: TypeAlias = tuple[int, int]
"""Stage index and position of a step in its stage (0-based)."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A layer that an earlier build made, and when; ``index`` is where its index can be read, if it has one."""

    layer: Layer
    made: datetime
    index: tuple[CacheStore, Descriptor] | None = None


@dataclass(slots=True)
class Caching:
    """``stores`` are read in order; the first is written to, if the build may push. A context manager: leaving it waits
    for what is being stored, unless the build was cancelled."""

    plan: Plan
    keys: StepKeys
    stores: tuple[CacheStore, ...]
    wishes: CacheWishes
    layers: LayerFiles
    emit: Emit
    cancel: Cancel
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    hits: dict[Place, Hit] = field(default_factory=dict)
    made: dict[Place, Digest] = field(default_factory=dict)
    """The diff ids of the layers that steps have, found or made."""
    _forgotten: bool = False
    _silent: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _writers: ThreadPoolExecutor | None = None
    _writes: list[Future[None]] = field(default_factory=list)

    # -- look-ups -------------------------------------------------------------------------------------------------

    def look_up(self) -> None:
        """Ask for every cacheable step of the plan at once; ``hits`` holds what there is."""
        if self._forgotten:
            return
        started = time.monotonic()
        asked: dict[Place, Future[Hit | None]] = {}
        with ThreadPoolExecutor(THREADS, thread_name_prefix="cache") as pool:
            for stage in self.plan.stages:
                for position in range(len(stage.steps)):
                    if self.is_cacheable(stage, position):
                        self.cancel.check()
                        key = key_of(self.keys.definition(stage, position))
                        asked[stage.index, position] = pool.submit(self._hit, key)
        for place, future in asked.items():
            if (hit := future.result()) is not None:
                self.hits[place] = hit
        self.emit(CacheChecked(self.stores[0].name, len(asked), len(self.hits), time.monotonic() - started))

    def forget(self) -> None:
        """Find nothing any more; what the build makes is stored as ever, over what is broken."""
        self.hits.clear()
        self._silent.update(store.name for store in self.stores)
        self._forgotten = True

    def by_content(self, stage: StagePlan, position: int, diff_ids: tuple[Digest, ...]) -> Hit | None:
        """Look a missed step up by the files that lie below it, now that they are known."""
        if not self.is_cacheable(stage, position):
            return None
        inputs = self.keys.content(stage, position, diff_ids)
        if inputs == self.keys.definition(stage, position):
            return None
        hit = self._hit(key_of(inputs))
        if hit is not None:
            self._write(stage, position, (self.keys.definition(stage, position), inputs), hit, None, None)
        return hit

    def explain(self, stage: StagePlan, position: int) -> tuple[str, ...]:
        """The names of the inputs of a missed step that differ from those of the newest entry of its place."""
        return tuple(name for name, _, _ in self._differences(stage, position))

    def explain_fully(self, stage: StagePlan, position: int) -> list[str]:
        """The same with the values, a line each; says so where there is no entry to compare with."""
        found = self._differences(stage, position)
        lines = [f"{name}: {_shown(old)} → {_shown(new)}" for name, old, new in found]
        return lines or ["nothing like it was ever stored from this place of the Dockerfile"]

    def _differences(self, stage: StagePlan, position: int) -> tuple[tuple[str, str | None, str | None], ...]:
        if not self.is_cacheable(stage, position):
            return ()
        found = self._get(near_tag(stage, position), any_age=True)
        if found is None or not found[1].inputs:
            return ()
        return differences(found[1].inputs, record(self.keys.definition(stage, position)))

    def is_cacheable(self, stage: StagePlan, position: int) -> bool:
        """Whether the layer of a step may be in the cache."""
        return cacheable(stage, position, runs=self.wishes.run_layers, copies=self.wishes.copy_layers) is not None

    def find(self, tag: str) -> Hit | None:
        """A layer by its tag, however old it is."""
        return self._hit(tag, any_age=True)

    def keys_of(self, diff_ids: tuple[Digest, ...]) -> dict[str, int]:
        """Keys of the target's own layers, with their positions in an image: what an inline cache says."""
        stage = self.plan.stage(self.plan.target)
        found: dict[str, int] = {}
        for position, step in enumerate(stage.steps):
            made = self.made.get((stage.index, position))
            if made in diff_ids and not isinstance(step, MetadataStep):
                found[key_of(self.keys.definition(stage, position))] = diff_ids.index(made)
        return found

    def _get(self, tag: str, *, any_age: bool = False) -> tuple[CacheStore, Entry] | None:
        for store in self.stores:
            if store.name in self._silent:
                continue
            try:
                entry = store.get(tag)
            except Cancelled:
                raise
            except GazamiError as error:
                self._complain(
                    store.name, f"the cache {store.name} cannot be read, the build goes on without it: {error}"
                )
                continue
            if entry is not None and (any_age or self._is_fresh(entry)):
                return store, entry
        return None

    def _is_fresh(self, entry: Entry) -> bool:
        return self.wishes.ttl <= 0 or self.now() - entry.created < timedelta(seconds=self.wishes.ttl)

    def _hit(self, tag: str, *, any_age: bool = False) -> Hit | None:
        found = self._get(tag, any_age=any_age)
        if found is None or found[1].layer is None or found[1].diff_id is None:
            return None
        store, entry = found
        assert entry.layer is not None
        assert entry.diff_id is not None
        layer = Layer(entry.layer, entry.diff_id, store.origin(entry.layer))
        return Hit(layer, entry.created, (store, entry.index) if entry.index is not None else None)

    def _complain(self, name: str, text: str) -> None:
        with self._lock:
            if name in self._silent:
                return
            self._silent.add(name)
        self.emit(Message("warning", text))

    # -- storing --------------------------------------------------------------------------------------------------

    def store(
        self,
        stage: StagePlan,
        position: int,
        diff_ids: tuple[Digest, ...],
        made: Hit,
        members: Members | None,
        pushed: Callable[[], Origin | None],
    ) -> None:
        """Keep the layer that a step made. ``diff_ids`` are the layers below it, ``members`` its own index if it is at hand.
        ``pushed`` waits until the image's own upload of the layer is over and says where it is, so that the cache can have
        it without a second upload."""
        if self.is_cacheable(stage, position) and self.wishes.push:
            definition = self.keys.definition(stage, position)
            content = self.keys.content(stage, position, diff_ids)
            self._write(stage, position, (definition, content), made, members, pushed)

    def _write(
        self,
        stage: StagePlan,
        position: int,
        inputs: tuple[Inputs, Inputs],
        made: Hit,
        members: Members | None,
        pushed: Callable[[], Origin | None] | None,
    ) -> None:
        if not self.wishes.push:
            return
        layer = made.layer
        tags = tuple(dict.fromkeys((*map(key_of, inputs), near_tag(stage, position))))
        text = stage.steps[position].common.text
        entry = Entry(made.made, layer.descriptor, layer.diff_id, text, inputs[0])

        def work(store: CacheStore) -> None:
            origin = (pushed() if pushed is not None else None) or layer.origin
            blobs: list[Blob] = [(layer.descriptor, open_layer(self.layers, layer), origin)]
            whole = entry
            if members is not None and len(members) <= MAX_MEMBERS:
                index = self._index_blob(encode_members(members))
                whole = entry.with_index(index[0])
                blobs.append(index)
            elif made.index is not None and made.index[0] is store:
                whole = entry.with_index(made.index[1])
            store.put(tags, whole, tuple(blobs))

        self.write(work)

    def _index_blob(self, data: bytes) -> Blob:
        descriptor = Descriptor(INDEX, digest_of(data), len(data))
        return descriptor, lambda: io.BytesIO(data), LocalFile("")

    def write(self, work: Callable[[CacheStore], None]) -> None:
        """Do something with the store that is written to, in the background, if the build may."""
        if not self.wishes.push:
            return
        store = self.stores[0]

        def guarded() -> None:
            if f"write {store.name}" in self._silent or (store.name in self._silent and not self._forgotten):
                return
            try:
                work(store)
            except Cancelled:
                raise
            except (GazamiError, OSError) as error:  # a blob that was pruned meanwhile, a disk that is full
                self._complain(f"write {store.name}", f"layers cannot be stored in the cache {store.name}: {error}")

        with self._lock:
            if self._writers is None:
                self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="cache-write")
            self._writes.append(self._writers.submit(guarded))

    # -- indexes of images ----------------------------------------------------------------------------------------

    def read_index(self, tag: str) -> bytes | None:
        found = self._get(tag, any_age=True)
        if found is None or found[1].index is None:
            return None
        store, entry = found
        assert entry.index is not None
        try:
            return store.read(entry.index, MAX_INDEX)
        except (GazamiError, OSError):
            return None

    def write_index(self, tag: str, data: bytes) -> None:
        if self.wishes.push:
            blob = self._index_blob(data)
            entry = Entry(self.now(), text="the files of an image", index=blob[0])
            self.write(lambda store: store.put((tag,), entry, (blob,)))

    def __enter__(self) -> Caching:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writers is None:
            return
        if any(not each.done() for each in self._writes) and not self.cancel.is_set:
            self.emit(Message("info", f"storing layers in the cache {self.stores[0].name}"))
        self._writers.shutdown(wait=True, cancel_futures=self.cancel.is_set)
        if kind is None:  # else there is an error already that says more
            for write in self._writes:
                write.result()


def _shown(value: str | None) -> str:
    if value is None:
        return "(none)"
    return value if len(value) <= 100 else f"{value[:60]}… ({len(value)} characters)"
