"""Several builds in one view do not mix."""

from __future__ import annotations

import io

from gazami import events
from gazami.report.line import Settings
from gazami.report.plain import PlainSink, Streams
from gazami.report.together import Named

STEP = events.StepId(0, 1)


def test_output_comes_in_whole_lines() -> None:
    one = Named("linux/arm64", 1)
    assert one(events.StepOutput(STEP, "stdout", b"ha")) == []
    assert one(events.StepOutput(STEP, "stdout", b"lf\nrest")) == [events.StepOutput(events.StepId(1000, 1), "stdout", b"half\n")]
    rest, finished = one(events.StepFinished(STEP, 1.0))
    assert rest == events.StepOutput(events.StepId(1000, 1), "stdout", b"rest\n")
    assert finished == events.StepFinished(events.StepId(1000, 1), 1.0)


def test_equal_places_and_keys_of_two_builds_differ() -> None:
    builds = [Named("linux/amd64", 0), Named("linux/arm64", 1)]
    out = io.BytesIO()
    sink = PlainSink(Settings(), Streams(out, out), heartbeat=False)
    told = [
        events.StageStarted(0, "", "scratch", 1), events.StepStarted(STEP, 1, "COPY . /"),
        events.PhaseStarted("p", "packing"), events.PhaseFinished("p", 2.0), events.StepFinished(STEP, 2.0, layer_size=5),
        events.BuildFinished(2.0, "sha256:1", 5, 1),
    ]  # fmt: skip
    for event in told:
        for build in builds:
            for each in build(event):
                sink.emit(each)
    sink.emit(events.BuildFinished(2.0, "sha256:2", 10, 2))
    text = out.getvalue().decode()
    assert text.count("linux/amd64: COPY . /") == text.count("linux/arm64: COPY . /") == 1
    assert "Packing (linux/amd64): done" in text and "Packing (linux/arm64): done" in text
    assert "sha256:1" not in text and "sha256:2" in text
