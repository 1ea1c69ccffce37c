"""The process: output, exit status, signals. The builder is a function handed in."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gazami.builder.request import BuildRequest
from gazami.cancel import Cancel
from gazami.cli.ci import shows_colors
from gazami.cli.command import Command, Execution, help_of, task
from gazami.cli.commands.build import Builder, build_with
from gazami.cli.commands.rows import ROWS, called, command
from gazami.cli.flags import options
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.option import Table
from gazami.cli.main import run
from gazami.cli.supervise import supervise
from gazami.errors import Cancelled, CommandFailed, DockerfileError, GazamiError, NotFoundError, Source, Span, UsageError
from gazami.events import BuildFinished, Emit, Message, StepId, StepOutput
from gazami.values import replace

WORDS = [".", "--no-push", "--log-format=text"]


def built(builder: Builder, *more: str) -> int:
    return supervise(build_with(builder), [*WORDS, *more], {})


def ends(error: Exception):
    def build(request: BuildRequest, emit: Emit, cancel: Cancel):
        raise error

    return build


def good(request: BuildRequest, emit: Emit, cancel: Cancel):
    emit(StepOutput(StepId(0, 1), "stdout", b"from RUN\n"))
    emit(BuildFinished(1.0, "sha256:abc", 10, 1))
    return SimpleNamespace(plan_text="FROM scratch" if request.dryrun else None)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"], {}) == run(["version"], {}) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second and first.startswith("gazami 0.")


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_a_command_of_that_name_that_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(name).name == name
    assert run(["help", *name.split()], {}) == 0
    out = capsys.readouterr().out
    assert run([*name.split(), "--help"], {}) == 0
    assert capsys.readouterr().out == out == help_of(command(name))
    assert "Usage:\n" in out and f"  gazami {name}".removesuffix(" help") in out
    assert all(f"--{each.name}" in out for each in command(name).shown or command(name).table if not each.hidden)
    assert max(map(len, out.splitlines())) <= 128
    assert run([*name.split(), "--nonsense"], {}) == (2 if name == "diff" else 1)  # as diff(1): 1 is an answer
    err = capsys.readouterr().err
    assert "unknown flag: --nonsense" in err and f"Run 'gazami {name} --help' for usage." in err


def test_the_list_of_commands_has_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([], {}) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(any(line.startswith(f"  {name} ") and does in line for line in lines) for name, (_, does) in ROWS.items())


def test_a_name_may_be_two_words() -> None:
    assert called(["cache", "explain", "."]) == ("cache explain", ["."])
    assert called(["cache", "ls", "."]) == ("cache", ["ls", "."])
    assert called(["explain"]) == ("", ["explain"]) and called([]) == ("", [])


def test_a_command_that_answers_has_no_display_and_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version", "now"], {}) == 1
    assert capsys.readouterr().err.startswith("Error: unexpected argument 'now'")


@pytest.mark.parametrize(
    "argv", [[], ["--help"], ["help"], ["help", "build"], ["build", "--help"], ["--help", "build"], ["-h", "lint"]]
)
def test_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argv, {}) == 0
    out = capsys.readouterr().out
    assert "Usage:" in out and "Examples:" in out


def test_short_help_is_a_screen_and_names_flags_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", "-h"], {}) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80 and "gazami build --help" in out
    table = command("build").table
    rows = re.findall(r"^  (?:-([a-z]), |    )--([a-z-]+) ", out, re.MULTILINE)
    assert len(rows) == 13
    assert all(table.long(name) and (not letter or table.short(letter) is table.long(name)) for letter, name in rows)


@pytest.mark.parametrize("name", sorted(set(ROWS) - {"submit"}))
def test_help_fits_a_narrow_terminal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert [line for line in help_of(command(name)).splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(
    "words", [["version", "--help"], ["help", "--help"], ["--help", "cache", "explain"], ["help", "state"], ["help", "cache", "ls"]]
)
def test_everything_has_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words, {}) == 0
    assert "Usage:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv, expected",
    [
        (["biuld"], ["Error: unknown command 'biuld'", "did you mean build?"]),
        (["--context=."], ["gazami build --context=."]),
        (["build", ".", "--push"], ["Error: --push needs a name", "hint: ", "Run 'gazami build --help'"]),
        (["build", "--cahce"], ["Error: unknown flag: --cahce", "did you mean --cache?"]),
    ],
)
def test_usage_errors(argv: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argv, {}) == 1
    err = capsys.readouterr().err
    assert all(text in err for text in expected) and "Traceback" not in err


@pytest.mark.parametrize("code, status", [(42, 42), (-1, 255), (0, 1), (256, 1)])
def test_a_failed_command_gives_its_status(code: int, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert built(ends(CommandFailed("RUN false failed", exit_code=code))) == status
    assert "error building image: RUN false failed" in capsys.readouterr().err


def test_an_error_with_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    error = DockerfileError("unknown instruction: RNU", span=Span(2, 2), source=Source("Dockerfile", "FROM a\nRNU b\n"))
    assert built(ends(error)) == 1
    assert "   2 | >>> RNU b" in capsys.readouterr().err


def test_a_bug_is_called_one_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert built(ends(KeyError("x"))) == 1
    err = capsys.readouterr().err
    assert "this is a bug in gazami" in err and "test_main.py" in err and "Traceback" not in err
    assert built(ends(KeyError("x")), "--verbosity=debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert built(ends(OSError(28, "No space left on device", "/x"))) == 1
    err = capsys.readouterr().err
    assert "No space left on device: /x" in err and "bug" not in err


def test_a_good_build(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert built(good) == 0
    out, err = capfdbinary.readouterr()
    assert out == b"" and b" \xe2\x94\x82 from RUN\n" in err and b", sha256:abc\n" in err


def test_raw_leaves_what_a_run_prints_as_it_is_on_its_stream(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert built(good, "--progress=raw") == 0
    out, err = capfdbinary.readouterr()
    assert out == b"from RUN\n" and b"image sha256:abc" in err


def test_the_executor_is_raw_unless_it_is_told_otherwise(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    executor = replace(build_with(good), raw=True)
    assert supervise(executor, WORDS, {}) == 0
    out, err = capfdbinary.readouterr()
    assert out == b"from RUN\n" and b"image sha256:abc" in err
    assert supervise(executor, [*WORDS, "--progress=plain"], {}) == 0
    out, err = capfdbinary.readouterr()
    assert out == b"" and b" \xe2\x94\x82 from RUN\n" in err


def test_on_github_nothing_that_others_print_is_a_command(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def hostile(request: BuildRequest, emit: Emit, cancel: Cancel):
        emit(StepOutput(StepId(0, 1), "stderr", b"::error::not ours ##[group]x\n"))
        emit(Message("warning", "ours\n::add-mask::a"))
        raise DockerfileError("::set-output::x", span=Span(1, 1), source=Source("Dockerfile", "##[error]FROM\n"))

    for form in ("--progress=plain", "--progress=raw", "--log-format=json"):
        assert supervise(build_with(hostile), [*WORDS, form], {"GITHUB_ACTIONS": "true"}) == 1
        out, err = capfdbinary.readouterr()
        commands = [line.split(":")[2].split()[0] for line in err.decode().splitlines() if line.lstrip().startswith("::")]
        assert commands == (["group", "endgroup", "warning", "error"] if form == "--progress=plain" else [])
        assert b"##[" not in out + err


@pytest.mark.parametrize(
    "environ, tty, kind, colored",
    [
        ({}, True, "pipe", True),
        ({}, False, "pipe", False),
        ({"CI": "true"}, False, "pipe", True),
        ({"CI": "true"}, False, "file", False),
        ({"CI": "true", "NO_COLOR": "1"}, False, "pipe", False),
        ({"TERM": "dumb"}, True, "pipe", False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, False, "file", True),
        ({"FORCE_COLOR": "0"}, False, "pipe", False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, "pipe", False),
    ],
)
def test_where_there_are_colors(environ: dict[str, str], tty: bool, kind: str, colored: bool, tmp_path: Path) -> None:
    class Stream(io.TextIOWrapper):
        def isatty(self) -> bool:
            return tty

    read, write = os.pipe()
    with Stream(os.fdopen(write, "wb") if kind == "pipe" else (tmp_path / "log").open("wb")) as stream:
        assert shows_colors(environ, stream) == colored
    os.close(read)


def test_quiet_prints_the_digest_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert built(good, "-q") == 0
    assert capsys.readouterr() == ("sha256:abc\n", "")


def test_dryrun_prints_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert built(good, "--dryrun", "-q") == 0
    assert capsys.readouterr().out == "FROM scratch\n"


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("error", [None, CommandFailed("RUN x", exit_code=2)])
def test_signals(number: int, status: int, error: GazamiError | None, capsys: pytest.CaptureFixture[str]) -> None:
    def build(request: BuildRequest, emit: Emit, cancel: Cancel):
        os.kill(os.getpid(), number)
        assert cancel.wait(5)
        raise error or Cancelled("cancelled")

    before = signal.getsignal(number)
    assert built(build) == status
    assert "interrupted by SIG" in capsys.readouterr().err
    assert signal.getsignal(number) == before


def ending(error: Exception | None, *, failed: str = "Error") -> Command:
    def work(flags: Flags, run: Execution) -> int:
        run.say("answer\n")
        run.say(b"bytes\n")
        if error:
            raise error
        return 7

    return Command("try", "", Table(options.LOGGING), task(work), failed=failed)


def test_what_a_command_says_is_printed_when_it_ended_well(capfd: pytest.CaptureFixture[str]) -> None:
    assert supervise(ending(None), [], {}) == 7
    assert capfd.readouterr() == ("answer\nbytes\n", "")
    assert supervise(ending(NotFoundError("no such image")), [], {}) == 1
    assert capfd.readouterr() == ("", "Error: no such image\n")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_usage_error_of_any_command_names_its_help(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert supervise(ending(UsageError("no image is given")), [f"--log-format={form}"], {}) == 1
    err = capsys.readouterr().err
    assert "no image is given" in err
    assert ("Run 'gazami try --help' for usage." in err) == (form == "text")


def test_a_broken_pipe_of_the_work_is_not_taken_for_that_of_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert supervise(ending(BrokenPipeError(32, "Broken pipe")), [], {}) == 1
    assert "this is a bug in gazami" in capsys.readouterr().err


def test_version_imports_next_to_nothing() -> None:
    code = (
        "import sys; from gazami.cli.main import run; run(['--version'], {}); "
        "print([m for m in ('dataclasses', 'click', 'rich', 'json', 'gazami.cli.flags.options') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[1] == "[]"
