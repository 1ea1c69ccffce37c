"""What is said about which event, and the pace of news about work in progress."""

from __future__ import annotations

from gazami import events
from gazami.errors import Span
from gazami.report.story import Story, Style
from gazami.report.summary import Record, ending, summarise

STEP = events.StepId(0, 2)
BUILD: list[events.Event] = [
    events.StageStarted(0, "build", "debian:12", 2),
    events.StageStarted(1, "", "scratch", 1),
    events.StepStarted(STEP, 2, "RUN make"),
    events.StepFinished(STEP, 3.21, layer_size=12_300_000, files=1200),
    events.StepStarted(events.StepId(1, 1), 1, "COPY --from=build /a /a"),
    events.StepFinished(events.StepId(1, 1), 0.1, cached=True, layer_size=10),
    events.Exported("image", "r.example.com/app:1", "sha256:abc"),
    events.Exported("file", "/out/digest", "sha256:abc"),
    events.BuildFinished(4.0, "sha256:abc", 13_000_000, 2, ("r.example.com/app:1",)),
]


def tell(*told: events.Event, severity: str = "info", style: Style = "kaniko") -> list[str]:
    story = Story(style)
    return [line.text for event in told for line in story.tell(event, 0.0) if line.severity == severity]


def test_steps() -> None:
    lines = tell(*BUILD)
    assert "Building stage 'build' [idx: '0', base: 'debian:12', steps: 2]" in lines
    assert "[build 2/2] RUN make" in lines
    assert "[build 2/2] done in 3.2s, layer 12.3 MB, 1 200 files" in lines
    assert "Using caching version of cmd: COPY --from=build /a /a" in lines


def test_the_short_style_has_a_line_for_a_copy_a_number_for_cached_steps_and_one_for_the_end() -> None:
    last = events.StepId(1, 2)
    plan = events.PlanReady(((0, "build", ("ENV A=1", "RUN make")), (1, "", ("COPY --from=build /a /a", "COPY b /b"))))
    started = events.StepStarted(last, 2, "COPY b /b", Span(7, 7), "Dockerfile")
    missed = events.StepFinished(last, 0.2, layer_size=10, files=1, missed=True)
    cached = events.StepStarted(events.StepId(1, 1), 2, "COPY --from=build /a /a", cached=True)
    told = (plan, *BUILD[:4], cached, BUILD[5], started, missed, events.StageFinished(1, 1.0), BUILD[6], BUILD[8])
    assert tell(*told, style="short") == [
        "Building 2 stages, 4 steps",
        "[build 2/2] RUN make",
        "[build 2/2] done in 3.2s, layer 12.3 MB, 1 200 files",
        "[final] 1 step cached",
        "[final 2/2] COPY b /b: 0.2s, layer 10 B, 1 file",
        "Pushed r.example.com/app@sha256:abc",
        "Build finished in 4.0s: 2 layers, 13.0 MB, 1 of 2 cached, first miss Dockerfile:7, sha256:abc",
    ]


def test_a_step_that_another_build_makes_is_waited_for_in_two_lines() -> None:
    for style in ("short", "kaniko"):
        for how, said in (
            ("found", "the other build made it"),
            ("took over", "the other build is gone, making it here"),
            ("failed", "the other build failed, making it here"),
            ("late", "the other build takes too long, making it here"),
        ):
            waited = events.StepWaited(STEP, 61.0, how)  # type: ignore[arg-type]
            assert tell(events.StepWaiting(STEP, "RUN make"), waited, style=style) == [  # type: ignore[arg-type]
                "[2] waiting for another build of this step: RUN make",
                f"[2] waited 1m01s: {said}",
            ]


def test_a_long_wait_for_another_build_is_not_silent() -> None:
    story = Story("short")
    story.tell(events.StepWaiting(STEP, "RUN make"), 0.0)
    assert story.tick(10.0) == []
    assert [line.text for line in story.tick(40.0)] == ["[2] waiting for another build of this step: 40.0s"]


def test_a_copy_that_takes_long_is_told_while_it_does() -> None:
    story = Story("short")
    assert story.tell(events.StepStarted(STEP, 2, "COPY . /"), 0.0) == []
    assert [line.text for line in story.tick(1.0)] == ["[2/2] COPY . /"]
    assert [line.text for line in story.tell(events.StepFinished(STEP, 9.0, layer_size=1), 9.0)] == [
        "[2/2] done in 9.0s, layer 1 B"
    ]


def test_lines_that_scripts_look_for() -> None:
    assert tell(events.BaseResolved("debian:12", "sha256:1"))[0].startswith("Retrieving image manifest debian:12")
    assert tell(events.PhaseStarted("p", "taking snapshot of full filesystem")) == ["Taking snapshot of full filesystem..."]
    assert tell(events.Exported("image", "r:5000/app:1", "sha256:abc")) == ["Pushed r:5000/app@sha256:abc"]


def test_a_quick_step_without_layer_is_a_detail() -> None:
    told = (events.StepStarted(STEP, 2, "ENV A=1"), events.StepFinished(STEP, 0.001))
    assert tell(*told) == ["[2/2] ENV A=1"]
    assert tell(*told, severity="debug") == ["[2/2] done in 0.0s"]


def test_a_step_cannot_steer_the_terminal() -> None:
    assert tell(events.StepStarted(STEP, 2, "RUN \x1b[2Jx")) == ["[2/2] RUN x"]


def test_failures_and_warnings() -> None:
    told = (events.StepStarted(STEP, 2, "RUN x"), events.StepFailed(STEP, 2.0, "exit status 3"))
    assert tell(*told, severity="error") == ["[2/2] failed after 2.0s"]
    assert tell(events.Warned("as is", rule="FromAsCasing"), severity="warn") == ["FromAsCasing: as is"]


def test_a_silent_phase_is_told_every_ten_seconds() -> None:
    story = Story()
    story.tell(events.PhaseStarted("p", "Unpacking", unit="files"), -1.0)
    assert [line.text for line in story.tick(0.0)] == ["Unpacking..."]
    assert story.tick(9.0) == []
    story.tell(events.PhaseProgress("p", 12000), 9.5)
    assert [line.text for line in story.tick(10.0)] == ["Still unpacking: 12 000 files, 11.0s"]
    assert story.tick(19.0) == []
    assert [line.text for line in story.tick(41.0)] == ["Still unpacking: 12 000 files, 42.0s"]
    story.tell(events.PhaseFinished("p", 41.0), 41.0)
    assert story.tick(99.0) == []


def test_a_quick_phase_is_a_detail() -> None:
    told = (events.PhaseStarted("p", "writing the layer"), events.PhaseFinished("p", 0.1))
    assert tell(*told) == []
    assert tell(*told, severity="debug") == ["Writing the layer...", "Writing the layer: done in 0.1s"]


def test_transfers_share_one_line_every_five_seconds() -> None:
    story = Story()
    for key, total in (("a", 4_000_000), ("b", 6_000_000)):
        story.tell(events.TransferStarted(key, "pull", "layer", "r", total), 100.0)
    story.tell(events.TransferProgress("a", 1_000_000), 101.0)
    assert story.tick(104.0) == []
    assert [line.text for line in story.tick(105.0)] == [
        "Pulling r (2 layers, 0 finished): 1.0 MB of 10.0 MB, 200.0 kB/s, about 45.0s left"
    ]
    assert story.tick(109.0) == []
    story.tell(events.TransferFinished("a", "moved", 4_000_000, 6.0), 106.0)
    assert [line.text for line in story.tick(110.0)] == ["Pulling r (1 layer, 1 finished): 0 B of 6.0 MB, 0 B/s"]


def test_a_silent_run_is_told() -> None:
    story = Story()
    story.tell(events.StepStarted(STEP, 2, "RUN sleep"), 0.0)
    story.tell(events.StepOutput(STEP, "stdout", b"x"), 10.0)
    assert story.tick(39.0) == []
    assert [line.text for line in story.tick(40.0)] == ["[2/2] still running: 40.0s"]


def test_events_of_unknown_work_are_no_error() -> None:
    for event in (
        events.TransferFinished("x", "exists", 1, 0.0),
        events.TransferProgress("x", 1),
        events.PhaseFinished("x", 0.0),
        events.PhaseProgress("x", 1),
        events.StepOutput(STEP, "stdout", b""),
        events.StepFinished(STEP, 1.0),
        events.StepFailed(STEP, 1.0, "m"),
        events.StageFinished(0, 1.0),
    ):
        Story().tell(event, 0.0)


def test_summary() -> None:
    lines = summarise(BUILD).splitlines()
    assert [line.split()[0] for line in lines] == ["step", "build:", "2", "build:"[:0] + "stage", "1", "pushed", "wrote", "image"]
    assert lines[2].split() == ["2", "RUN", "make", "3.2s", "12.3", "MB"]
    assert lines[4].split()[-3:] == ["cached", "10", "B"]
    assert lines[5] == "pushed r.example.com/app:1  sha256:abc"
    assert lines[-1] == "image sha256:abc, 2 layers, 13.0 MB, built in 4.0s"
    assert summarise(BUILD[:-1]) == ""


def test_a_build_that_began_again_counts_its_steps_once() -> None:
    """The second time, without the cache, is the one that counts."""
    record = Record()
    for step in (events.StepFinished(STEP, 0.0, cached=True), events.StepFinished(STEP, 1.0, missed=True)):
        record.note(step)
    record.note(events.BuildFinished(1.0, "sha256:abc", 10, 1))
    assert "0 of 1 cached" in ending(record)
    assert len(record.finished) == 1
