"""The process: output, exit status, signals. The builder is a function handed in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from gazami.builder.request import BuildRequest
from gazami.cancel import Cancel
from gazami.cli.main import run
from gazami.errors import Cancelled, CommandFailed, DockerfileError, GazamiError, Source, Span
from gazami.events import BuildFinished, Emit, StepId, StepOutput

BUILD = ["build", ".", "--no-push", "--log-format=text"]


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
    assert capsys.readouterr().out.startswith("gazami 0.")


@pytest.mark.parametrize("argv", [[], ["--help"], ["help"], ["help", "build"], ["build", "--help"], ["build", "-h"]])
def test_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argv, {}) == 0
    out = capsys.readouterr().out
    assert "Usage:" in out and "Examples:" in out


@pytest.mark.parametrize(
    "argv, expected",
    [
        (["biuld"], ["Error: unknown command 'biuld'", "did you mean build?"]),
        (["--context=."], ["gazami build --context=."]),
        (["build", "."], ["Error: you must provide --destination", "hint: ", "Run 'gazami build --help'"]),
        (["build", "--cahce"], ["Error: unknown flag: --cahce", "did you mean --cache?"]),
    ],
)
def test_usage_errors(argv: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argv, {}) == 1
    err = capsys.readouterr().err
    assert all(text in err for text in expected) and "Traceback" not in err


@pytest.mark.parametrize("code, status", [(42, 42), (-1, 255), (0, 1), (256, 1)])
def test_a_failed_command_gives_its_status(code: int, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(BUILD, {}, ends(CommandFailed("RUN false failed", exit_code=code))) == status
    assert "error building image: RUN false failed" in capsys.readouterr().err


def test_an_error_with_a_place(capsys: pytest.CaptureFixture[str]) -> None:
    error = DockerfileError("unknown instruction: RNU", span=Span(2, 2), source=Source("Dockerfile", "FROM a\nRNU b\n"))
    assert run(BUILD, {}, ends(error)) == 1
    assert "   2 | >>> RNU b" in capsys.readouterr().err


def test_a_bug_is_called_one_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(BUILD, {}, ends(KeyError("x"))) == 1
    err = capsys.readouterr().err
    assert "this is a bug in gazami" in err and "test_main.py" in err and "Traceback" not in err
    assert run([*BUILD, "--verbosity=debug"], {}, ends(KeyError("x"))) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(BUILD, {}, ends(OSError(28, "No space left on device", "/x"))) == 1
    err = capsys.readouterr().err
    assert "No space left on device: /x" in err and "bug" not in err


def test_a_good_build(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(BUILD, {}, good) == 0
    out, err = capfdbinary.readouterr()
    assert out == b"from RUN\n" and b"image sha256:abc" in err


def test_quiet_prints_the_digest_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*BUILD, "-q"], {}, good) == 0
    assert capsys.readouterr() == ("sha256:abc\n", "")


def test_dryrun_prints_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*BUILD, "--dryrun", "-q"], {}, good) == 0
    assert capsys.readouterr().out == "FROM scratch\n"


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("error", [None, CommandFailed("RUN x", exit_code=2)])
def test_signals(number: int, status: int, error: GazamiError | None, capsys: pytest.CaptureFixture[str]) -> None:
    def build(request: BuildRequest, emit: Emit, cancel: Cancel):
        os.kill(os.getpid(), number)
        assert cancel.wait(5)
        raise error or Cancelled("cancelled")

    before = signal.getsignal(number)
    assert run(BUILD, {}, build) == status
    assert "interrupted by SIG" in capsys.readouterr().err
    assert signal.getsignal(number) == before


def test_version_imports_next_to_nothing() -> None:
    code = (
        "import sys; from gazami.cli.main import run; run(['--version'], {}); "
        "print([m for m in ('dataclasses', 'click', 'rich', 'json', 'gazami.cli.flags.options') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[1] == "[]"
