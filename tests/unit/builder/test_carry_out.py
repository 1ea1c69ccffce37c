"""Stages that only copy, carried out without a registry and without a sandbox: what is observed, in which order, and what a
cache stands in for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.builder.plans import plan_of

from gazami.builder.clock import Clock
from gazami.builder.files.blob_files import BlobFiles
from gazami.builder.files.kept_trees import KeptTrees
from gazami.builder.files.layer_files import LayerFiles
from gazami.builder.files.packer import Packer
from gazami.builder.files.trees import Trees
from gazami.builder.files.workspace import Workspace
from gazami.builder.inputs.fetched import Fetched
from gazami.builder.inputs.registries import open_registry
from gazami.builder.request import CredentialOptions, SandboxOptions, SnapshotOptions
from gazami.builder.stages.carry_out import Hit, LayerMade, Stages
from gazami.builder.stages.copying import Copying
from gazami.builder.stages.isolation import Isolation, IsolationInputs
from gazami.builder.stages.root import Roots
from gazami.builder.stages.sources import Sources
from gazami.builder.stages.work import Position, StageWork, plan_work
from gazami.cancel import Cancel
from gazami.errors import ContextError
from gazami.events import Event, StageFinished, StageStarted, StepFailed, StepFinished, StepStarted
from gazami.image.digest import Digest
from gazami.image.model import Image, LocalFile
from gazami.layer.pack import Packing
from gazami.plan.steps import StagePlan
from gazami.registry.options import RegistryOptions
from gazami.rootfs.folder import FolderTree
from gazami.values import replace

MADE = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = "FROM scratch AS a\nCOPY one /dir/one\nFROM scratch\nLABEL a=b\nCOPY --from=a /dir /\nCOPY two /\n"


class Observing:
    def __init__(self) -> None:
        self.seen: list[object] = []
        self.ended: list[tuple[str, int]] = []
        self.layers: dict[Position, LayerMade] = {}

    def step_ended(self, work: StageWork, image: Image) -> None:
        self.ended.append((work.stage.name, len(image.layers)))

    def stage_ended(self, work: StageWork, image: Image) -> None:
        self.seen.append((work.stage.name, len(image.layers)))

    def layer_made(self, event: LayerMade) -> None:
        position = event.work.stage.number, event.position
        self.seen.append(position)
        self.layers[position] = event


class Remembering:
    """A layer cache that has the given layers."""

    def __init__(self, hits: dict[Position, Hit]) -> None:
        self.hits = hits
        self.asked: list[Position] = []

    def hit(self, stage: StagePlan, position: int) -> Hit:
        return self.hits[stage.number, position]

    def by_content(self, stage: StagePlan, position: int, diff_ids: tuple[Digest, ...]) -> Hit | None:
        self.asked.append((stage.number, position))

    def is_cacheable(self, stage: StagePlan, position: int) -> bool:
        return True

    def explain(self, stage: StagePlan, position: int) -> tuple[str, ...]:
        return ("one",)


@contextmanager
def stages(
    tmp_path: Path, events: list[Event], observing: Observing, *, cache: Remembering | None = None, single: bool = False
) -> Iterator[Stages]:
    context = tmp_path / "context"
    context.mkdir(exist_ok=True)
    for name in ("one", "two"):
        (context / name).write_text(name)
    cancel, emit = Cancel(), events.append
    with (
        Workspace(str(tmp_path / "state")) as workspace,
        open_registry(RegistryOptions(), CredentialOptions(), emit, cancel) as registry,
        Isolation(SandboxOptions("unused"), IsolationInputs(), workspace, emit, cancel, cancel) as isolation,
    ):
        layers = LayerFiles(workspace, BlobFiles(workspace.blobs, registry, cancel), emit, cancel)
        fetched = Fetched({}, registry.transport, lambda: pytest.fail("fetched"), "", (), workspace, emit)
        trees = Trees(layers, KeptTrees(tmp_path / "kept"))
        sources = Sources(FolderTree(str(context)), {}, trees, fetched)
        packer = Packer(layers, Packing(oci=True), newest=0)
        roots = Roots(isolation, layers, SnapshotOptions(single=single), ())
        clock = Clock(epoch=datetime.fromtimestamp(0, UTC))
        copying = Copying(sources, packer, emit)
        yield Stages(sources, roots, clock, copying, None, registry.transport, cache, (observing,))


def built(
    tmp_path: Path, hits: dict[Position, Hit] | None = None, *, text: str = TEXT, single: bool = False
) -> tuple[Image, Observing, list[Event]]:
    events: list[Event] = []
    observing = Observing()
    cache = Remembering(hits) if hits is not None else None
    plan = plan_of(text)
    with stages(tmp_path, events, observing, cache=cache, single=single) as ready:
        ready.build(plan_work(plan, hits or ()))
        return ready.sources.stages[plan.target].image, observing, events


def test_each_layer_is_told_after_it_is_in_the_image(tmp_path: Path) -> None:
    image, observing, events = built(tmp_path)
    assert observing.seen == [(0, 0), ("a", 1), (1, 1), (1, 2), ("1", 2)]
    assert observing.ended == [("a", 1), ("1", 0), ("1", 1), ("1", 2)]
    made = observing.layers[1, 2]
    assert made.below == image.config.diff_ids[:1] and made.image.config.diff_ids == image.config.diff_ids
    assert made.new is not None and made.new.layer == image.layers[1] and made.new.entries == 1
    assert not observing.layers[0, 0].work.in_target and made.work.in_target
    kinds = [type(each) for each in events if isinstance(each, StageStarted | StageFinished | StepStarted | StepFinished)]
    step = [StepStarted, StepFinished]
    assert kinds == [StageStarted, *step, StageFinished, StageStarted, *step, *step, *step, StageFinished]


def test_a_hit_gives_the_layer_and_its_time_and_no_work(tmp_path: Path) -> None:
    image, _, _ = built(tmp_path)
    hits = {(1, 1): Hit(image.layers[0], MADE), (1, 2): Hit(image.layers[1], MADE)}
    again, observing, events = built(tmp_path, hits)
    assert again.layers == image.layers and again.config.diff_ids == image.config.diff_ids
    assert (0, 0) not in observing.layers  # the stage that the hit made needless
    assert observing.layers[1, 1].new is None and observing.layers[1, 1].made == MADE
    assert [each.cached for each in events if isinstance(each, StepFinished)] == [False, True, True]


def test_what_is_missed_is_looked_up_by_content_and_explained_once(tmp_path: Path) -> None:
    cache = Remembering({})
    events: list[Event] = []
    with stages(tmp_path, events, Observing(), cache=cache) as ready:
        ready.build(plan_work(plan_of(TEXT), cache.hits))
    assert cache.asked == [(0, 0), (1, 0), (1, 1), (1, 2)]
    assert sum("is not in the cache: one" in str(each) for each in events) == 2  # once for each stage


def test_an_error_has_the_steps_place_and_the_step_is_told_to_have_failed(tmp_path: Path) -> None:
    events: list[Event] = []
    with pytest.raises(ContextError) as caught, stages(tmp_path, events, Observing()) as ready:
        ready.build(plan_work(plan_of("FROM scratch\nCOPY one /\nCOPY three /\n"), ()))
    assert caught.value.span is not None and caught.value.span.start == 3
    assert isinstance(events[-1], StepFailed)


def test_a_single_snapshot_joins_a_stages_layers_and_keeps_one_history_entry(tmp_path: Path) -> None:
    image, _, _ = built(tmp_path, single=True)
    assert len(image.layers) == len(image.config.diff_ids) == 1
    assert [entry.empty_layer for entry in image.config.history] == [True, True, False]


LINKED = "FROM scratch AS a\nCOPY one /one\nCOPY --link two /two\nFROM scratch\nCOPY --from=a / /\n"


@pytest.mark.parametrize("single", [False, True])
def test_what_a_linked_copy_made_is_copied_on(tmp_path: Path, single: bool) -> None:
    """The layer of ``COPY --link`` is not in the stage's tree until somebody asks for the whole of it."""
    events: list[Event] = []
    with stages(tmp_path, events, Observing(), single=single) as ready:
        ready.build(plan_work(plan_of(LINKED), ()))
        tree = ready.sources.stages[1].files()
        assert [name for name in ("one", "two") if tree.get(name) is not None] == ["one", "two"]


class FoundByContent(Remembering):
    def by_content(self, stage: StagePlan, position: int, diff_ids: tuple[Digest, ...]) -> Hit | None:
        return self.hits.get((stage.number, position))


@pytest.mark.parametrize("single", [False, True])
def test_what_was_found_by_content_is_copied_on(tmp_path: Path, single: bool) -> None:
    """A layer that the cache has after all, between two copies: the tree does not show it yet when the stage ends."""
    text = "FROM scratch AS a\nCOPY one /one\nCOPY --link two /two\nFROM scratch\nCOPY --from=a / /\n"
    events: list[Event] = []
    with stages(tmp_path, events, Observing()) as ready:
        ready.build(plan_work(plan_of(text), ()))
        layer = ready.sources.stages[0].image.layers[1]
        assert isinstance(layer.origin, LocalFile)
        (tmp_path / "blob").write_bytes(Path(layer.origin.path).read_bytes())
    kept = replace(layer, origin=LocalFile(str(tmp_path / "blob")))
    cache = FoundByContent({(0, 1): Hit(kept, MADE)})
    with stages(tmp_path, events, Observing(), cache=cache, single=single) as ready:
        ready.build(plan_work(plan_of(text), ()))
        tree = ready.sources.stages[1].files()
        assert [name for name in ("one", "two") if tree.get(name) is not None] == ["one", "two"]
