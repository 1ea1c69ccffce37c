"""What lands on which stream, from how many threads, and in the live view."""

from __future__ import annotations

import io
import json
import threading

import pytest

from gazami import events
from gazami.errors import Cancelled, CommandFailed, Source, Span, UserError
from gazami.report.jsonlog import WholeLines
from gazami.report.line import Settings
from gazami.report.log_streams import Streams
from gazami.report.plain import PlainSink
from gazami.report.reporter import open_reporter
from gazami.report.tty import TtySink
from gazami.report.workflow import Files

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


def test_run_output_passes_through_when_it_is_raw() -> None:
    sink = Sink(raw=True)
    sink(START, output(b"\xffout\n"), output(b"err\n", "stderr"))
    assert sink.out.getvalue() == b"\xffout\n"
    assert sink.err.getvalue() == b"INFO[0000] [1/1] RUN x\nerr\n"


def test_our_lines_never_continue_a_line_of_a_run() -> None:
    sink = Sink(raw=True)
    sink(START, output(b"50%", "stderr"), events.Message("info", "ours"))
    assert sink.err.getvalue().splitlines()[1:] == [b"50%", b"INFO[0000] ours"]


BOTH = events.PlanReady(((0, "deps", ("RUN a",)), (1, "", ("RUN b",))))
OTHER = events.StepId(1, 1)


def test_a_line_of_a_run_says_whose_it_is() -> None:
    sink = Sink()
    sink(BOTH, START, events.StepStarted(OTHER, 1, "RUN b"), output(b"one\ntw"))
    sink.now = 3.14
    sink(events.StepOutput(OTHER, "stderr", b"\xffother\n"), output(b"o\nlast"), events.StepFinished(STEP, 4.0))
    assert sink.out.getvalue() == b""
    assert [line.decode() for line in sink.err.getvalue().splitlines() if b"INFO" not in line] == [
        "[deps 1/1] 0.0s │ one",
        "[final 1/1] 3.1s │ \ufffdother",
        "[deps 1/1] 3.1s │ two",
        "[deps 1/1] 4.0s │ last",
    ]


def test_a_line_of_a_run_has_the_time_of_day_where_the_log_has() -> None:
    sink = Sink(timestamps=True)
    sink(BOTH, START, output(b"one\n"))
    assert sink.err.getvalue().decode().splitlines()[-1] == "1970-01-01T00:00:00Z [deps 1/1] 0.0s │ one"


@pytest.mark.parametrize(
    "written, plain, color",
    [
        (b"10%\r50%\r100%\n", "100%", "100%"),
        (b"crlf\r\n", "crlf", "crlf"),
        (b"\x1b[31mred\x1b[0m and\x1b[2J\x07 more\n", "red and more", "\x1b[31mred\x1b[0m and more\x1b[0m"),
        (b"\x1b[0Ksection_start:1:x\rtext\n", "text", "text"),
        ("umlaut ä, \u202egnol".encode() + b"\n", "umlaut ä, gnol", "umlaut ä, gnol"),
    ],
)
def test_a_line_of_a_run_steers_no_terminal(written: bytes, plain: str, color: str) -> None:
    for form, expected in (("text", plain), ("color", color)):
        sink = Sink(format=form)
        sink(START, output(written))
        assert sink.err.getvalue().decode().splitlines()[1].partition("│ ")[2] == expected


def test_neighbours_that_were_stopped_are_cancelled_without_their_output_and_the_failure_is_last() -> None:
    sink = Sink()
    sink(BOTH, START, events.StepStarted(OTHER, 1, "RUN b"))
    sink(output(b"".join(b"line %d\n" % number for number in range(30)) + b"boom"))
    sink(events.StepOutput(OTHER, "stdout", b"half a line"))
    sink(events.StepFailed(STEP, 5.0, "exit 2"), events.StepFailed(OTHER, 5.1, "another stage failed", cancelled=True))
    sink.sink.fail(CommandFailed("process did not complete", exit_code=2, hint="mend it"))
    lines = sink.err.getvalue().decode().splitlines()
    assert "ERRO[0000] [deps 1/1] failed after 5.0s" in lines and "INFO[0000] [final 1/1] cancelled after 5.1s" in lines
    assert not any("half a line" in line for line in lines)
    end = lines[lines.index("[deps 1/1] RUN x printed at last, after 11 lines:") :]
    assert len(end) == 23 and end[1] == "  0.0s │ line 11" and end[20] == "  5.0s │ boom"
    assert end[21:] == ["error building image: process did not complete", "hint: mend it"]


def test_an_interrupted_build_fails_no_step_and_says_what_was_kept() -> None:
    sink = Sink(format="color")
    sink(BOTH, START, output(b"x\n"), events.StepFailed(STEP, 5.0, "interrupted", cancelled=True))
    sink.sink.fail(Cancelled("interrupted by SIGINT"))
    lines = sink.err.getvalue().decode().splitlines()
    assert lines[-3:] == [
        "\x1b[90mINFO[0000] [deps 1/1] cancelled after 5.0s\x1b[0m",
        "error building image: interrupted by SIGINT",
        "nothing was pushed or written",
    ]


def test_what_was_just_read_is_not_repeated() -> None:
    for between in ((), (events.Message("info", "something else"),)):
        sink = Sink()
        sink(BOTH, START, output(b"boom\n"), *between, events.StepFailed(STEP, 5.0, "exit 2"))
        sink.sink.fail(CommandFailed("process did not complete", exit_code=2))
        assert sink.err.getvalue().count(b"boom") == 1 + len(between)


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
    lines = WholeLines()
    pieces = [*lines.feed(output(b"x" * 200_000)), *(line for _, line in lines.end(STEP))]
    assert sum(map(len, pieces)) == 200_000 and len(pieces) == 4


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


def test_github_folds_steps_and_shows_warnings_and_errors_beside_the_lines() -> None:
    commands = io.BytesIO()
    sink = Sink(ci="github", files=Files((("Dockerfile", "app/Dockerfile"),)))
    sink.sink = PlainSink(
        Settings(ci="github", files=Files((("Dockerfile", "app/Dockerfile"),))),
        Streams(commands, commands, commands),
        clock=lambda: sink.now,
        wall=lambda: 0.0,
        heartbeat=False,
    )
    sink(BOTH, START, events.StepStarted(OTHER, 1, "RUN b"), output(b"::error::not ours\n"))
    sink(events.StepOutput(OTHER, "stdout", b"late\n"), output(b"more\n"), events.StepFinished(STEP, 1.0, layer_size=1))
    sink(events.Warned("use lower: case", "StageNameCasing", Span(1, 2)), events.StepFailed(OTHER, 1.0, "exit 3"))
    error = CommandFailed("process failed", exit_code=3, hint="50%").at(Span(2, 2), Source("Dockerfile", "FROM x\nRUN b\n"))
    sink.sink.fail(error)
    lines = commands.getvalue().decode().splitlines()
    assert [line for line in lines if line.startswith(("::", "[")) or "done" in line] == [
        "::group::[deps 1/1] RUN x",
        "[deps 1/1] 0.0s │ ::error::not ours",
        "[deps 1/1] 0.0s │ more",
        "::endgroup::",
        "INFO[0000] [deps 1/1] done in 1.0s, layer 1 B",
        "::warning file=app/Dockerfile,line=1,endLine=2,title=StageNameCasing::use lower: case",
        "::group::[final 1/1] RUN b",
        "[final 1/1] 0.0s │ late",
        "::endgroup::",
        "[final 1/1] RUN b printed:",
        "::error file=app/Dockerfile,line=2,endLine=2,title=RUN b::process failed%0Ahint: 50%25",
    ]


def test_gitlab_folds_steps() -> None:
    sink = Sink(ci="gitlab")
    sink(START, output(b"x\n"), events.StepFinished(STEP, 1.0, layer_size=1))
    assert sink.err.getvalue().decode().replace("\x1b[0K", "^").splitlines(keepends=True)[:3] == [
        "^section_start:0:gazami_0_1_1[collapsed=true]\r",
        "^[1/1] RUN x\n",
        "[1/1] 0.0s │ x\n",
    ]


def test_who_waits_too_long_has_the_floor() -> None:
    sink = Sink(ci="gitlab")
    sink(BOTH, START, events.StepStarted(OTHER, 1, "RUN b"), events.StepOutput(OTHER, "stdout", b"waits\n"))
    sink.now = 4.0
    sink.sink.tick()
    assert b"waits" not in sink.err.getvalue()
    sink.now = 5.0
    sink.sink.tick()
    sink(output(b"again\n"), events.StepFinished(OTHER, 6.0), events.StepFinished(STEP, 6.0))
    text = sink.err.getvalue().decode()
    assert text.index("│ waits") < text.index("[deps 1/1] goes on") < text.index("│ again")
    assert text.count("section_start") == text.count("section_end") == 3


def test_a_base_is_no_part_of_its_step() -> None:
    sink = Sink()
    sink(BOTH, events.BaseStarted(STEP, "debian:12"))
    sink.now = 1.0
    sink.sink.tick()
    sink.now = 6.6
    sink(events.BaseFinished(STEP, 6.6), START)
    sink.now = 7.0
    sink(output(b"x\n"))
    assert sink.err.getvalue().decode().splitlines()[1:] == [
        "INFO[0001] [deps] base debian:12: pulling and unpacking",
        "INFO[0006] [deps] base debian:12 ready in 6.6s",
        "INFO[0006] [deps 1/1] RUN x",
        "[deps 1/1] 0.4s │ x",
    ]
