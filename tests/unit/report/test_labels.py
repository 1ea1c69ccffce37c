"""How steps and stages are called."""

from __future__ import annotations

import pytest

from gazami import events
from gazami.report.labels import Labels, runs, stage_names, works


@pytest.mark.parametrize(
    "stages, names",
    [
        (((0, "", ()),), {0: ""}),
        (((0, "0", ()),), {0: ""}),
        (((0, "app", ()),), {0: "app"}),
        (((0, "deps", ()), (2, "", ()), (3, "3", ())), {0: "deps", 2: "stage-2", 3: "final"}),
        (((0, "", ()), (1, "last", ())), {0: "stage-0", 1: "last"}),
    ],
)
def test_names_of_stages(stages: tuple[tuple[int, str, tuple[str, ...]], ...], names: dict[int, str]) -> None:
    assert stage_names(stages) == names


def test_labels_come_from_the_plan_before_anything_begins() -> None:
    labels = Labels()
    assert labels.step(events.StepId(0, 2)) == "[2]" and labels.stage(0) == "" and labels.text(events.StepId(0, 2)) == ""
    labels.note(events.PlanReady(((0, "deps", ("RUN a", "RUN b")), (1, "", ("COPY x /",)))))
    assert labels.step(events.StepId(0, 2)) == "[deps 2/2]" and labels.step(events.StepId(1, 1)) == "[final 1/1]"
    assert labels.stage(1) == "[final]" and labels.text(events.StepId(0, 2)) == "RUN b" and labels.text(events.StepId(0, 3)) == ""


@pytest.mark.parametrize(
    "text, does_work, is_run",
    [
        ("RUN make", True, True),
        ("run make", True, True),
        ("linux/arm64: RUN make", True, True),
        ("COPY RUN /x", True, False),
        ("linux/arm64: COPY RUN /x", True, False),
        ("WORKDIR /RUN", True, False),
        ("ENV RUN=1", False, False),
        ("LABEL: x", False, False),
        ("", False, False),
    ],
)
def test_kinds_of_instructions(text: str, does_work: bool, is_run: bool) -> None:
    assert (works(text), runs(text)) == (does_work, is_run)
