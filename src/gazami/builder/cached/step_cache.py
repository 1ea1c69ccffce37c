"""The steps of a plan in the layer cache: all are looked up before anything runs, and what was made is stored meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Protocol

from gazami.builder.cached.keys import StepKeys, cacheable, near_tag
from gazami.builder.cached.stores import Stores, file_blobs
from gazami.builder.files.layer_files import LayerFiles, open_layer
from gazami.builder.inputs.layout_images import image_layers
from gazami.builder.stages.carry_out import Hit, LayerMade
from gazami.builder.stages.work import Position, StageWork
from gazami.cache.entry import CacheEntry, FileList
from gazami.cache.keys import FROM_STAGE, KeyInputs, differences, key_of, record
from gazami.cache.listing import FileChanges, Listing, changes, decode_listing, encode_listing
from gazami.cache.store import Blob, CacheStore
from gazami.errors import NotCached
from gazami.events import CacheChecked, StepId
from gazami.image.digest import Digest
from gazami.image.model import Image, Layer, Origin
from gazami.plan.steps import (
    CopyStep,
    ImageBase,
    MetadataStep,
    Plan,
    RunStep,
    StageBase,
    StagePlan,
    StageSource,
    Step,
    WorkdirStep,
    sources_of,
    sources_of_step,
)
from gazami.rootfs.kept_tree import MAX_MEMBERS, Members, encode_members
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from gazami.builder.cached.step_leases import StepLeases
    from gazami.builder.files.kept_trees import KeptTrees
    from gazami.cache.reasons import Difference


class Ended(Protocol):
    """Hears whether the cache has a layer."""

    def __call__(self, *, stored: bool) -> None: ...


THREADS = 32
"""Look-ups at the same time, so that their number is no number of round trips."""


@fast_dataclass(slots=True)
class StepCache:
    """``hits`` are the layers that the look-ups found, ``made`` the diff ids of
    the layers that steps have, found or made."""

    plan: Plan
    keys: StepKeys
    stores: Stores
    layers: LayerFiles
    hits: dict[Position, Hit] = field(default_factory=dict)
    made: dict[Position, Digest] = field(default_factory=dict)
    _content: dict[Position, KeyInputs] = field(default_factory=dict)
    """The inputs by content of the steps that were looked up by them."""
    without: frozenset[int] = frozenset()
    """The stages that get no hits (``--no-cache-filter``)."""
    leases: StepLeases | None = None

    @property
    def _built_anew(self) -> frozenset[int]:
        """Those, and the stages that have files of theirs: what they will be is not known before they were built."""
        found = set(self.without)
        for stage in self.plan.stages if found else ():
            needed = {each.number for each in sources_of(stage) if isinstance(each, StageSource)}
            if isinstance(stage.base, StageBase):
                needed.add(stage.base.number)
            if needed & found:
                found.add(stage.number)
        return frozenset(found)

    # -- look-ups -------------------------------------------------------------------------------------------------

    def look_up(self, trees: KeptTrees) -> None:
        """Ask for every cacheable step of the plan at once, and for the trees of the bases that are copied onto; ``hits`` holds the
        layers that there are."""
        if self.stores.hides_hits:
            return
        started = time.monotonic()
        asked: dict[Position, Future[Hit | None]] = {}
        with ThreadPoolExecutor(THREADS, thread_name_prefix="cache") as pool:
            for base in self._copied_onto():
                pool.submit(trees.ask_ahead, image_layers(base, self.keys.images[base]))
            for stage in self.plan.stages:
                for position in range(len(stage.steps)):
                    if stage.number not in self._built_anew and self.is_cacheable(stage, position):
                        self.stores.cancel.check()
                        key = key_of(self.keys.definition(stage, position))
                        asked[stage.number, position] = pool.submit(self.stores.find, key)
        found = {position: hit for position, future in asked.items() if (hit := future.result()) is not None}
        self.hits.update(found)
        took = time.monotonic() - started
        self.stores.emit(CacheChecked(self.stores.name, len(asked), len(found), took))

    def _copied_onto(self) -> set[ImageBase]:
        """The bases whose files the destination of a copy depends on, as far as a build without commands wants to know them."""
        found = set()
        for stage in self.plan.stages:
            *_, first = self.plan.lineage(stage)
            if isinstance(first.base, ImageBase) and any(isinstance(step, CopyStep | WorkdirStep) for step in stage.steps):
                found.add(first.base)
        return found

    def hit(self, stage: StagePlan, position: int) -> Hit:
        return self.hits[stage.number, position]

    def by_content(self, stage: StagePlan, position: int, diff_ids: tuple[Digest, ...]) -> Hit | None:
        """Look a missed step up by the files that lie below it, now that they are known. Raises :class:`NotCached` for one that
        would have to be done where only the cache may be used."""
        hit = self._by_content(stage, position, diff_ids)
        step = stage.steps[position]
        if hit is None and self.leases is not None:
            hit = self._by_another_build(stage, position, self.leases)
        if hit is None and self.stores.options.only and (isinstance(step, RunStep) or self.is_cacheable(stage, position)):
            raise NotCached(
                f"this step is not in the cache {self.stores.name}: {step.common.text}",
                hint="build without --cached-only, with the same flags, to fill the cache",
            ).at(step.common.span, step.common.source)
        return hit

    def _by_content(self, stage: StagePlan, position: int, diff_ids: tuple[Digest, ...]) -> Hit | None:
        if stage.number in self.without or not self.is_cacheable(stage, position):
            return None
        inputs, definition = self.keys.content(stage, position, diff_ids), self.keys.definition(stage, position)
        self._content[stage.number, position] = inputs
        if inputs == definition and stage.number not in self._built_anew:
            return None
        hit = self.stores.find(key_of(inputs))
        if hit is not None:
            self._write(stage, position, (definition, inputs), hit)
        return hit

    def _by_another_build(self, stage: StagePlan, position: int, leases: StepLeases) -> Hit | None:
        """The layer of a command that another build is running now; None where this one is to run it."""
        step = stage.steps[position]
        if not isinstance(step, RunStep) or not self.is_cacheable(stage, position) or stage.number in self._built_anew:
            return None
        key = key_of(self.keys.definition(stage, position))
        identity = StepId(stage.number, step.common.number)
        return leases.acquire(key, identity, step.common.text, lambda: self.stores.find(key, anew=True))

    def explain(self, stage: StagePlan, position: int, *, fully: bool = False) -> tuple[str, ...]:
        """In words, what a missed step has other than the newest entry for it; nothing where there is none to compare with.
        ``fully``: every file, and texts then and now."""
        from gazami.cache.reasons import in_words

        if not self.is_cacheable(stage, position):
            return ()
        found = self.stores.get(near_tag(stage, position), any_age=True)
        if found is None or not found[1].inputs:
            return ()
        entry = found[1]
        different = differences(entry.inputs, record(self.keys.definition(stage, position)))
        named = [self._named(each, stage, position) for each in different]
        return in_words(named, self._changes(stage, position, entry), fully=fully)

    def _changes(self, stage: StagePlan, position: int, entry: CacheEntry) -> FileChanges:
        """The files that differ, as far as both builds know which files there are."""
        old = decode_listing(entry.listing)
        if not old or (_stages_of(stage.steps[position]) and (stage.number, position) not in self._content):
            return FileChanges()
        return changes(old, decode_listing(encode_listing(self._listing(stage, position))))

    def _named(self, difference: Difference, stage: StagePlan, position: int) -> Difference:
        """With the names of the stages that a step takes files from."""
        name, old, new = difference
        if name != FROM_STAGE:
            return difference
        stages = [self.plan.stage(number) for number in _stages_of(stage.steps[position])]
        return f"stage {' or '.join(dict.fromkeys(each.name or str(each.number) for each in stages))}", old, new

    def _listing(self, stage: StagePlan, position: int) -> Listing:
        """The files that a step takes from elsewhere, and those of the steps before it that no entry explains."""
        found: dict[str, str] = {}
        for number in range(position, -1, -1):
            if number != position and self.is_cacheable(stage, number):
                break
            if isinstance(stage.steps[number], MetadataStep):
                continue
            known = (*self.keys.definition(stage, number), *self._content.get((stage.number, number), ()))
            for _, value in known:
                found |= self.keys.contents.listings.get(value, {})
        return found

    def is_cacheable(self, stage: StagePlan, position: int) -> bool:
        """Whether the layer of a step may be in the cache."""
        layers = self.stores.options.layers
        return cacheable(stage, position, runs=layers.runs, copies=layers.copies) is not None

    def keys_of(self, diff_ids: tuple[Digest, ...]) -> dict[str, int]:
        """Keys of the target's own layers, with their positions in an image: what an inline cache says."""
        stage = self.plan.stage(self.plan.target)
        found: dict[str, int] = {}
        for position, step in enumerate(stage.steps):
            made = self.made.get((stage.number, position))
            if made in diff_ids and not isinstance(step, MetadataStep):
                found[key_of(self.keys.definition(stage, position))] = diff_ids.index(made)
        return found

    # -- storing --------------------------------------------------------------------------------------------------

    def store(self, event: LayerMade, layer: Layer, pushed: Callable[[], Origin | None]) -> None:
        """Keep the layer that a step made. ``pushed`` waits until the image's own upload of the layer is over and says where it
        is, so that the cache can have it without a second upload."""
        stage, position = event.work.stage, event.position
        if self.is_cacheable(stage, position) and self.stores.options.push:
            definition = self.keys.definition(stage, position)
            content = self._content.get((stage.number, position)) or self.keys.content(stage, position, event.below)
            self._content[stage.number, position] = content
            members = event.new.members if event.new is not None else None
            ended = None if self.leases is None else partial(self.leases.ended, key_of(definition))
            self._write(stage, position, (definition, content), Hit(layer, event.made), members, pushed, ended=ended)

    def pass_over(self, event: LayerMade) -> None:
        """Keep nothing of a step; another build that waits for it makes its own."""
        stage, position = event.work.stage, event.position
        if self.leases is not None and self.is_cacheable(stage, position):
            self.leases.ended(key_of(self.keys.definition(stage, position)), stored=False)

    def _write(
        self,
        stage: StagePlan,
        position: int,
        inputs: tuple[KeyInputs, KeyInputs],
        made: Hit,
        members: Members | None = None,
        pushed: Callable[[], Origin | None] = lambda: None,
        *,
        ended: Ended | None = None,
    ) -> None:
        layer = made.layer
        tags = tuple(dict.fromkeys((*map(key_of, inputs), near_tag(stage, position))))
        text = stage.steps[position].common.text
        listing = encode_listing(self._listing(stage, position))
        entry = CacheEntry(made.made, layer.descriptor, layer.diff_id, text, inputs[0], listing=listing)

        def work(store: CacheStore) -> None:
            blobs: list[Blob] = [(layer.descriptor, open_layer(self.layers, layer), pushed() or layer.origin)]
            whole = entry
            if members is not None and len(members) <= MAX_MEMBERS:
                whole = entry.with_files(FileList.of(encode_members(members)))
                blobs += file_blobs(whole)
            elif made.members is not None and (made.members[0] is store or made.members[1].data is not None):
                whole = entry.with_files(made.members[1])
            store.put(tags, whole, tuple(blobs))

        if ended is None:
            self.stores.write(work)
        else:
            self.stores.write(lambda store: _then(lambda: work(store), ended), partial(ended, stored=False))


@fast_dataclass(frozen=True, slots=True)
class Storing:
    """Stores each layer that a step made. ``wait_for`` waits for the layer's upload to a destination and says where it is."""

    cache: StepCache
    wait_for: Callable[[LayerMade, Layer], Origin | None]

    def step_ended(self, work: StageWork, image: Image) -> None:
        """Nothing to store."""

    def stage_ended(self, work: StageWork, image: Image) -> None:
        """Nothing to store."""

    def layer_made(self, event: LayerMade) -> None:
        if event.new is not None and event.new.incomplete:
            self.cache.pass_over(event)
            return
        self.cache.made[event.work.stage.number, event.position] = event.image.config.diff_ids[-1]
        layer = event.new.layer if event.new is not None else None
        if layer is not None:
            self.cache.store(event, layer, lambda: self.wait_for(event, layer))


def _then(work: Callable[[], None], ended: Ended) -> None:
    """Do the work and say how it went."""
    try:
        work()
    except BaseException:
        ended(stored=False)
        raise
    ended(stored=True)


def _stages_of(step: Step) -> list[int]:
    """The numbers of the stages that a step takes files from."""
    return [each.number for each in sources_of_step(step) if isinstance(each, StageSource)]
