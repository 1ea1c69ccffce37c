"""What lands on which stream, from how many threads, and in the live view."""

from __future__ import annotations

import io
import json
import threading

import pytest

from gazami import events
from gazami.errors import UserError
from gazami.report.jsonlog import OutputLines
from gazami.report.line import Settings
from gazami.report.plain import PlainSink, Streams
from gazami.report.reporter import open_reporter
from gazami.report.tty import TtySink, View

STEP = events.StepId(0, 1)
START = events.StepStarted(STEP, 1, "RUN x")


class Sink:
    def __init__(self, **settings) -> None:
        self.out, self.err, self.now = io.BytesIO(), io.BytesIO(), 0.0
        streams = Streams(self.out, self.err)
        self.sink = PlainSink(Settings(**settings), streams, clock=lambda: self.now, wall=lambda: 0.0, heartbeat=False)

    def __call__(self, *told: events.Event) -> None:
        for event in told:
            self.sink.emit(event)


def output(data: bytes, stream: str = "stdout") -> events.StepOutput:
    return events.StepOutput(STEP, stream, data)  # type: ignore[arg-type]


def test_run_output_passes_through() -> None:
    sink = Sink()
    sink(START, output(b"\xffout\n"), output(b"err\n", "stderr"))
    assert sink.out.getvalue() == b"\xffout\n"
    assert sink.err.getvalue() == b"INFO[0000] [1/1] RUN x\nerr\n"


def test_our_lines_never_continue_a_line_of_a_run() -> None:
    sink = Sink()
    sink(START, output(b"50%", "stderr"), events.Message("info", "ours"))
    assert sink.err.getvalue().splitlines()[1:] == [b"50%", b"INFO[0000] ours"]


def test_json_is_json_on_every_line() -> None:
    sink = Sink(format="json")
    sink(START, output(b"one\ntw"), output(b"o\xff"), events.StepFinished(STEP, 1.0, layer_size=5))
    sink.sink.fail(UserError("broken", hint="mend it"))
    lines = [json.loads(line) for line in sink.err.getvalue().splitlines()]
    assert [line["msg"] for line in lines] == ["[1/1] RUN x", "one", "two\ufffd", "[1/1] done in 1.0s, layer 5 B", "broken"]
    assert lines[1]["stream"] == "stdout" and lines[3]["layer_size"] == 5 and lines[4]["hint"] == "mend it"
    assert sink.out.getvalue() == b""


def test_quiet_shows_the_output_of_what_failed() -> None:
    sink = Sink(quiet=True)
    sink(START, output(b"why\n"), events.StepFailed(STEP, 1.0, "exit status 1"))
    assert sink.err.getvalue() == b"why\nERRO[0000] [1/1] failed after 1.0s\n"


def test_quiet_keeps_only_the_end_of_a_long_output() -> None:
    sink = Sink(quiet=True)
    sink(START, *[output(b"x" * 1000) for _ in range(500)], output(b"end\n"), events.StepFailed(STEP, 1.0, "m"))
    assert len(sink.err.getvalue()) < 70_000 and b"end\n" in sink.err.getvalue()


def test_a_closed_stream_ends_no_build() -> None:
    sink = Sink()
    sink.out.close(), sink.err.close()
    sink(START, output(b"x\n"), events.Message("warning", "y"))
    sink.sink.fail(UserError("z"))


def test_lines_of_many_threads_do_not_mix() -> None:
    sink = Sink()
    threads = [threading.Thread(target=lambda: sink(*[events.Message("info", "a" * 50)] * 200)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(sink.err.getvalue().splitlines()) == {b"INFO[0000] " + b"a" * 50}


def test_tick_writes_what_is_due() -> None:
    sink = Sink()
    sink(events.PhaseStarted("p", "Hashing the context"))
    for sink.now in (1.0, 11.0):
        sink.sink.tick()
    assert sink.err.getvalue().endswith(b"INFO[0011] Still hashing the context: 11.0s\n")


def test_a_line_without_end_is_cut_into_pieces() -> None:
    lines = OutputLines()
    pieces = lines.feed(output(b"x" * 200_000)) + lines.end(STEP)
    assert sum(len(line.text) for line in pieces) == 200_000 and len(pieces) == 4


def test_view_of_running_work() -> None:
    view = View()
    for event in (START, output(b"one\r\ntwo\x1b[31m\nthr"), events.TransferStarted("t", "pull", "layer", "r", 100)):
        view.note(event, 0.0)
    view.note(events.TransferProgress("t", 50), 1.0)
    rows = [text for text, _ in view.rows(2.0, 80)]
    assert rows[0].startswith("[1/1] RUN x") and rows[0].endswith("2.0s")
    assert [row.strip() for row in rows[1:4]] == ["│ one", "│ two", "│ thr"]
    assert "██████████░░░░░░░░░░ 50 B of 100 B 25 B/s" in rows[4]
    assert all(len(row) <= 80 for row in rows)
    assert view.note(events.StepFailed(STEP, 2.0, "m"), 2.0) == ["one", "two", "thr"]
    view.note(events.TransferFinished("t", "moved", 100, 2.0), 2.0)
    assert view.rows(3.0, 80) == []


def test_live_view_on_a_terminal_of_text() -> None:
    from rich.console import Console

    text = io.StringIO()
    sink = TtySink(Settings(), Console(file=text, force_terminal=True, width=80, height=10))
    threads = [
        threading.Thread(target=lambda: [sink.emit(events.Message("info", "[bold]note[/]")) for _ in range(50)]) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for event in (START, output(b"x\n"), events.StepFinished(STEP, 1.0, layer_size=1000)):
        sink.emit(event)
    for thread in threads:
        thread.join(10)
    sink.emit(events.BuildFinished(2.0, "sha256:abc", 1000, 1))
    sink.fail(UserError("late"))
    sink.close()
    shown = text.getvalue()
    assert shown.count("[bold]note[/]") == 150
    assert "[1/1] RUN x  (1.0s, layer 1.0 kB)" in shown and "image sha256:abc" in shown and "late" in shown


@pytest.mark.parametrize(
    "settings, progress, terminal, live",
    [
        (Settings(), "auto", True, True),
        (Settings(), "auto", False, False),
        (Settings(), "plain", True, False),
        (Settings(format="json"), "tty", True, False),
        (Settings(quiet=True), "auto", True, False),
    ],
)
def test_which_display(settings: Settings, progress, terminal: bool, live: bool) -> None:
    reporter = open_reporter(settings, Streams(io.BytesIO(), io.BytesIO()), progress=progress, terminal=terminal)
    reporter.close()
    assert isinstance(reporter, TtySink) == live
