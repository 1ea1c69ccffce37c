"""A build as Markdown."""

from __future__ import annotations

from gazami import events
from gazami.errors import CommandFailed, Source, Span
from gazami.report.job_summary import JobSummary

ONE, TWO = events.StepId(0, 1), events.StepId(1, 1)
PLAN = events.PlanReady(((0, "build", ("ENV A=1", "RUN a | b")), (1, "", ("COPY --from=build /a /a",))))
TOLD = (
    PLAN,
    events.StepStarted(events.StepId(0, 1), 2, "ENV A=1"), events.StepFinished(events.StepId(0, 1), 0.0),
    events.StepStarted(events.StepId(0, 2), 2, "RUN a | `b`", Span(3, 3), "Dockerfile"),
    events.StepFinished(events.StepId(0, 2), 3.2, layer_size=1000, missed=True),
)  # fmt: skip


def page(*told: events.Event) -> JobSummary:
    summary = JobSummary()
    for event in told:
        summary.note(event)
    return summary


def test_a_build() -> None:
    cached = (
        events.StepStarted(TWO, 1, "COPY --from=build /a /a", cached=True),
        events.StepFinished(TWO, 0.0, cached=True, layer_size=5),
    )
    exported = events.Exported("image", "r.example.com/app:1", "sha256:abc")
    text = page(*TOLD, *cached, exported, events.BuildFinished(4.0, "sha256:abc", 1005, 2)).text()
    assert text.splitlines() == [
        "### Build of `r.example.com/app:1`",
        "",
        "| Step | Time | Layer |",
        "|---|--:|--:|",
        "| `[build 2/2] RUN a \\| 'b'` | 3.2s | 1.0 kB |",
        "| `[final 1/1] COPY --from=build /a /a` | cached | 5 B |",
        "",
        "4.0s, 2 layers, 1.0 kB, 1 of 2 cached, first miss Dockerfile:3, `sha256:abc`",
        "",
    ]


def test_a_failed_build() -> None:
    failed = (
        events.StepStarted(TWO, 1, "RUN ```x"),
        events.StepFailed(TWO, 1.0, "m"),
        events.StepFailed(ONE, 1.0, "m", cancelled=True),
    )
    error = CommandFailed("process ```x failed", exit_code=2).at(Span(1, 1), Source("Dockerfile", "RUN ```x\n"))
    lines = page(*TOLD, *failed).text(error).splitlines()
    assert lines[0] == "### Build failed" and "| **`[final 1/1] RUN '''x`** | **failed** 1.0s | |" in lines
    assert lines.count("```") == 2 and "error building image: process '''x failed" in lines


def test_nothing_to_tell() -> None:
    assert page(events.Message("info", "x")).text() == ""
