"""The layer cache in a build: everything is looked up before anything runs, and what was made is stored meanwhile.

Reading and storing never fail a build: the first trouble is told as a warning, and the build goes on without.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from gazami.builder.keys import StepKeys, cacheable, near_tag
from gazami.builder.layers import LayerFiles, open_layer
from gazami.builder.request import CacheWishes
from gazami.cache.entry import Entry
from gazami.cache.keys import Inputs, differences, key_of, record
from gazami.cache.store import CacheStore
from gazami.cancel import Cancel
from gazami.errors import Cancelled, GazamiError
from gazami.events import CacheChecked, Emit, Message
from gazami.image.digest import Digest
from gazami.image.model import Layer, Origin
from gazami.plan.steps import Plan, StagePlan

THREADS = 8
"""Look-ups at the same time."""

_WRITERS = 2

Place: TypeAlias = tuple[int, int]
"""Stage index and position of a step in its stage (0-based)."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A layer that an earlier build made, and when."""

    layer: Layer
    made: datetime


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
    _silent: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _writers: ThreadPoolExecutor | None = None
    _writes: list[Future[None]] = field(default_factory=list)

    # -- look-ups -------------------------------------------------------------------------------------------------

    def look_up(self) -> None:
        """Ask for every cacheable step of the plan at once; ``hits`` holds what there is."""
        started = time.monotonic()
        asked: dict[Place, Future[Hit | None]] = {}
        with ThreadPoolExecutor(THREADS, thread_name_prefix="cache") as pool:
            for stage in self.plan.stages:
                for position in range(len(stage.steps)):
                    if self._cacheable(stage, position) is not None:
                        self.cancel.check()
                        key = key_of(self.keys.definition(stage, position))
                        asked[stage.index, position] = pool.submit(self._hit, key)
        for place, future in asked.items():
            if (hit := future.result()) is not None:
                self.hits[place] = hit
        self.emit(CacheChecked(self.stores[0].name, len(asked), len(self.hits), time.monotonic() - started))

    def by_content(self, stage: StagePlan, position: int, diff_ids: tuple[Digest, ...]) -> Hit | None:
        """Look a missed step up by the files that lie below it, now that they are known."""
        if self._cacheable(stage, position) is None:
            return None
        inputs = self.keys.content(stage, position, diff_ids)
        if inputs == self.keys.definition(stage, position):
            return None
        hit = self._hit(key_of(inputs))
        if hit is not None:
            self._write(stage, position, self.keys.definition(stage, position), inputs, hit, None)
        return hit

    def explain(self, stage: StagePlan, position: int) -> tuple[str, ...]:
        """The inputs of a missed step that differ from those of the newest entry of its place; none where there is none."""
        if self._cacheable(stage, position) is None:
            return ()
        found = self._get(near_tag(stage, position), any_age=True)
        if found is None or not found[1].inputs:
            return ()
        now = record(self.keys.definition(stage, position))
        return tuple(name for name, _, _ in differences(found[1].inputs, now))

    def _cacheable(self, stage: StagePlan, position: int) -> object:
        return cacheable(stage, position, runs=self.wishes.run_layers, copies=self.wishes.copy_layers)

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
        return self.wishes.ttl <= 0 or entry.created + timedelta(seconds=self.wishes.ttl) > self.now()

    def _hit(self, tag: str) -> Hit | None:
        found = self._get(tag)
        if found is None or found[1].layer is None or found[1].diff_id is None:
            return None
        store, entry = found
        assert entry.layer is not None
        assert entry.diff_id is not None
        layer = self.layers.register(Layer(entry.layer, entry.diff_id, store.origin(entry.layer)))
        return Hit(layer, entry.created)

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
        pushed: Callable[[], Origin | None],
    ) -> None:
        """Keep the layer that a step made. ``diff_ids`` are the layers below it. ``pushed`` waits until the image's own
        upload of the layer is over and says where it is, so that the cache can have it without a second upload."""
        if self._cacheable(stage, position) is not None and self.wishes.push:
            definition = self.keys.definition(stage, position)
            content = self.keys.content(stage, position, diff_ids)
            self._write(stage, position, definition, content, made, pushed)

    def _write(
        self,
        stage: StagePlan,
        position: int,
        definition: Inputs,
        content: Inputs,
        made: Hit,
        pushed: Callable[[], Origin | None] | None,
    ) -> None:
        store = self.stores[0]
        if not self.wishes.push:
            return
        tags = tuple(dict.fromkeys((key_of(definition), key_of(content), near_tag(stage, position))))
        text = stage.steps[position].common.text
        layer = made.layer
        entry = Entry(made.made, layer.descriptor, layer.diff_id, text, definition)

        def work() -> None:
            if self._silent & {store.name, f"write {store.name}"}:
                return
            origin = (pushed() if pushed is not None else None) or layer.origin
            try:
                store.put(tags, entry, ((layer.descriptor, open_layer(self.layers, layer), origin),))
            except Cancelled:
                raise
            except GazamiError as error:
                self._complain(f"write {store.name}", f"layers cannot be stored in the cache {store.name}: {error}")

        with self._lock:
            if self._writers is None:
                self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="cache-write")
            self._writes.append(self._writers.submit(work))

    def __enter__(self) -> Caching:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writers is None:
            return
        if any(not each.done() for each in self._writes) and not self.cancel.is_set:
            self.emit(Message("info", f"storing layers in the cache {self.stores[0].name}"))
        self._writers.shutdown(wait=True, cancel_futures=self.cancel.is_set)
