"""``gazami lint``, ``build --check`` and ``build --call``: output and exit status."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from gazami.cli.main import run

CLEAN = "FROM scratch\nCOPY a /\n"
DIRTY = "FROM scratch as base\nCOPY a /\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text(DIRTY)
    (tmp_path / "clean").write_text(CLEAN)
    (tmp_path / "a").write_text("what both copy")
    return tmp_path


@pytest.mark.parametrize(
    "text, words, status",
    [
        (CLEAN, [], 0),
        (DIRTY, [], 0),
        (CLEAN, ["--error"], 0),
        (DIRTY, ["--error"], 1),
        ("# check=error=true\n" + DIRTY, [], 1),
        ("# check=skip=FromAsCasing;error=true\n" + DIRTY, [], 0),
        (DIRTY, ["--error", "--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=all"], 0),
        ("RUNN\n", [], 1),
        ("FROM a\nFROM b AS x\nENV a b\n", ["--target=x", "--error"], 1),
    ],
)
def test_status(folder: Path, text: str, words: list[str], status: int) -> None:
    (folder / "Dockerfile").write_text(text)
    assert run(["lint", *words], {}) == status


def test_names_the_file_as_given(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "docker").mkdir()
    (folder / "docker" / "Dockerfile").write_text(DIRTY)
    assert run(["lint", "docker/Dockerfile", "--format=github"], {}) == 0
    assert capsys.readouterr().out.startswith("::warning file=docker/Dockerfile,line=1,")


def test_reads_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"FROM scratch\nMAINTAINER \xff\n")))
    assert run(["lint", "-"], {}) == 0
    out = capsys.readouterr().out
    assert "WARNING: MaintainerDeprecated" in out and "MAINTAINER \N{REPLACEMENT CHARACTER}" in out


@pytest.mark.parametrize("ignore", [".dockerignore", "other/.dockerignore"])
def test_the_contexts_ignore_file_counts(folder: Path, ignore: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "other").mkdir()
    (folder / ignore).write_text("a\n")
    run(["lint", "clean", "--format=json", f"--context={Path(ignore).parent}"], {})
    assert [each["rule"] for each in json.loads(capsys.readouterr().out)] == ["CopyIgnoredFile", "InputMissing"]


@pytest.mark.parametrize(
    "words, expected",
    [
        (["nope"], "no Dockerfile at"),
        (["a", "b"], "only one Dockerfile"),
        (["--target=x"], "target stage 'x' could not be found"),
        (["--format=xml"], "'xml' is not a valid format"),
        (["--errors"], "did you mean --error?"),
    ],
)
def test_mistakes_of_the_command_line(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", *words], {}) == 1
    captured = capsys.readouterr()
    assert expected in captured.err and not captured.out


def test_check_of_a_build(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", ".", "--check"], {}) == 1
    assert "WARNING: FromAsCasing" in capsys.readouterr().out
    assert run(["build", ".", "--check", "-f", "clean"], {}) == 0
    capsys.readouterr()
    assert run(["build", ".", "--call=check,format=json"], {}) == 1
    assert json.loads(capsys.readouterr().out)["warnings"][0]["ruleName"] == "FromAsCasing"


def test_calls(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", ".", "--call=targets"], {}) == 0
    assert capsys.readouterr().out == "TARGET         DESCRIPTION\nbase (default)\n"
    assert run(["build", ".", "--call", "outline,format=json"], {}) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "base"
    assert run(["build", ".", "--call=outlin"], {}) == 1
    assert "did you mean outline?" in capsys.readouterr().err
    assert run(["build", ".", "--call=outline,format=xml"], {}) == 1
    assert "'format=xml' is not a setting" in capsys.readouterr().err
