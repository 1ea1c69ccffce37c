"""Which work a plan has, for sets of cache hits: no registry, no sandbox, nothing that is done."""

from __future__ import annotations

from tests.unit.builder.plans import plan_of

from gazami.builder.stages.work import StageWork, plan_stage, plan_work
from gazami.plan.steps import CopyStep

THREE_STAGES = """\
FROM scratch AS tools
COPY compiler /bin/
FROM scratch AS unused
COPY nothing /
FROM scratch AS build
COPY --from=tools /bin /bin
RUN make
COPY notes /notes
FROM scratch
LABEL a=b
COPY --from=build /out /
WORKDIR /srv
"""


def by_name(works: tuple[StageWork, ...]) -> dict[str, StageWork]:
    return {work.stage.name: work for work in works}


def flags(work: StageWork) -> list[tuple[bool, bool, bool]]:
    return [(each.missed, each.needs_tree, each.needs_root) for each in work.steps]


def test_a_stage_that_nobody_needs_is_dropped() -> None:
    assert [work.stage.name for work in plan_work(plan_of(THREE_STAGES), ())] == ["tools", "build", "3"]


def test_a_hit_makes_what_it_copies_from_needless() -> None:
    plan = plan_of(THREE_STAGES)
    assert [work.stage.name for work in plan_work(plan, {(3, 1)})] == ["3"]
    assert [work.stage.name for work in plan_work(plan, {(2, 0)})] == ["build", "3"]
    assert [work.stage.name for work in plan_work(plan, {(2, 1), (0, 0)})] == ["tools", "build", "3"]


def test_a_stage_begins_after_those_that_its_missed_steps_copy_from() -> None:
    works = by_name(plan_work(plan_of(THREE_STAGES), ()))
    assert works["tools"].after == frozenset()
    assert works["build"].after == {0}
    assert works["3"].after == {2}


def test_the_layers_of_the_target_and_of_what_it_is_built_from_are_the_targets() -> None:
    works = by_name(plan_work(plan_of("FROM scratch AS a\nCOPY a /\nFROM scratch AS b\nCOPY b /\nFROM a\nCOPY --from=b b /\n"), ()))
    assert {name: work.in_target for name, work in works.items()} == {"a": True, "b": False, "2": True}
    assert {name: work.is_source for name, work in works.items()} == {"a": True, "b": True, "2": False}


def test_the_root_is_needed_up_to_the_last_missed_command_and_the_tree_up_to_the_last_missed_copy() -> None:
    text = "FROM scratch\nCOPY a /\nRUN one\nCOPY b /\nRUN two\nLABEL c=d\n"
    assert flags(plan_work(plan_of(text), ())[0]) == [
        (True, True, True), (True, True, True), (True, True, True), (True, False, True), (True, False, False)
    ]  # fmt: skip
    # the second command and the second copy are in the cache: nothing after the first command asks for a root
    assert flags(plan_work(plan_of(text), {(0, 2), (0, 3)})[0]) == [
        (True, True, True), (True, False, True), (False, False, False), (False, False, False), (True, False, False)
    ]  # fmt: skip


def test_a_stage_that_others_copy_from_needs_its_tree_to_the_end() -> None:
    stage = plan_of("FROM scratch\nRUN make\nLABEL a=b\n").stages[0]
    assert [each.needs_tree for each in plan_stage(stage, (), is_source=True)] == [True, True]
    assert [each.needs_tree for each in plan_stage(stage, (), is_source=False)] == [False, False]


def test_the_missed_steps_of_a_stage() -> None:
    work = plan_work(plan_of("FROM scratch\nCOPY a /\nCOPY b /\n"), {(0, 0)})[0]
    (step,) = work.missed
    assert isinstance(step, CopyStep) and step.sources == ("b",)
