"""``gazami lint``, ``build --check`` and ``build --call``: output and exit status."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gazami.cli.commands.lint_files import files_of, write_fixed
from gazami.cli.main import run
from gazami.errors import ContextError

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
        (DIRTY, [], 1),
        (DIRTY, ["--error=false"], 0),
        (CLEAN, ["--error"], 0),
        (DIRTY, ["--error"], 1),
        ("# check=error=true\n" + DIRTY, ["--error=false"], 1),
        ("# check=skip=FromAsCasing;error=true\n" + DIRTY, [], 0),
        (DIRTY, ["--error", "--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=all"], 0),
        ("RUNN\n", [], 1),
        ("RUNN\n", ["--error=false"], 1),
        ("FROM a\nFROM b AS x\nENV a b\n", ["--target=x", "--error"], 1),
    ],
)
def test_status(folder: Path, text: str, words: list[str], status: int) -> None:
    (folder / "Dockerfile").write_text(text)
    assert run(["lint", *words], {}) == status


def test_names_the_file_as_given(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "docker").mkdir()
    (folder / "docker" / "Dockerfile").write_text(DIRTY)
    assert run(["lint", "docker/Dockerfile", "--format=github"], {}) == 1
    assert capsys.readouterr().out.startswith("::warning file=docker/Dockerfile,line=1,")


def test_reads_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"FROM scratch\nMAINTAINER \xff\n")))
    assert run(["lint", "-"], {}) == 1
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
        (["clean", "b"], "no Dockerfile at b"),
        ([".", "empty"], "no Dockerfile below empty"),
        (["Dockerfile", "clean", "--target=x"], "--target is a stage of one Dockerfile, 2 are checked"),
        (["-", "--fix"], "--fix writes to files"),
        (["link", "--fix"], "does not write through the symlink link"),
        (["--target=x"], "target stage 'x' could not be found"),
        (["--format=xml"], "'xml' is not a valid format"),
        (["--errors"], "did you mean --error?"),
    ],
)
def test_mistakes_of_the_command_line(
    words: list[str], expected: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("Dockerfile")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DIRTY.encode())))
    assert run(["lint", *words], {}) == 1
    captured = capsys.readouterr()
    assert expected in captured.err and not captured.out


# -- several files -------------------------------------------------------------------------------------------------------


def names(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [each["file"] for each in json.loads(capsys.readouterr().out)]


def test_files_and_folders_each_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (
        "b/web.Dockerfile",
        "b/c/Containerfile",
        "node_modules/x/Dockerfile",
        ".git/Dockerfile",
        "b/Dockerfile.dockerignore",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(DIRTY.replace("COPY a /\n", ""))
    assert run(["lint", "./b", "./Dockerfile", "b/c", ".", "clean", "--format=json"], {}) == 1
    assert names(capsys) == ["b/c/Containerfile", "b/web.Dockerfile", "./Dockerfile"]
    assert run(["lint", "node_modules", "--format=json"], {}) == 1
    assert names(capsys) == ["node_modules/x/Dockerfile"]


def test_the_status_is_that_of_the_worst(folder: Path) -> None:
    (folder / "bad").write_text("NOPE\n")
    assert run(["lint", "clean", "Dockerfile", "clean", "--error=false"], {}) == 0
    assert run(["lint", "clean", "bad", "clean", "--error=false"], {}) == 1


def test_copies_read_from_the_working_directory_or_from_the_dockerfiles_own(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "app").mkdir()
    (folder / "app/Dockerfile").write_text("FROM scratch\nCOPY own /\n")
    (folder / "app/other.Dockerfile").write_text("FROM scratch\nCOPY own no /\n")
    (folder / "app/above.Dockerfile").write_text(CLEAN)
    (folder / "app/own").write_text("")
    assert run(["lint", "app", "--format=concise"], {}) == 1
    out = capsys.readouterr().out
    assert out.startswith("app/other.Dockerfile:2:1: InputMissing ") and out.endswith(
        '"/no": not found (looked in . and app; --context names another folder)\n'
    )
    assert out.count("\n") == 1 and run(["lint", "app", "--error=false"], {}) == 0
    (folder / "app/other.Dockerfile").write_text("# check=skip=InputMissing\nFROM scratch\nCOPY own no /\n")
    assert run(["lint", "app"], {}) == 0
    (folder / "app/other.Dockerfile").write_text("FROM scratch\nCOPY own no /\n")
    capsys.readouterr()
    assert run(["lint", "app", "--context=.", "--format=concise"], {}) == 1
    assert capsys.readouterr().out.count("InputMissing") == 3


def test_another_name_is_the_one_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").rename(folder / "Containerfile")
    assert run(["lint", "--format=concise"], {}) == 1
    assert capsys.readouterr().out.startswith("Containerfile:1:1: FromAsCasing ")


@pytest.mark.parametrize("environ, colored", [({}, False), ({"FORCE_COLOR": "1"}, True), ({"CI": "true"}, False)])
def test_colors(environ: dict[str, str], colored: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint"], environ) == 1
    assert ("\x1b[" in capsys.readouterr().out) == colored
    run(["lint", "--format=github"], environ)
    assert "\x1b[" not in capsys.readouterr().out


# -- fixes ---------------------------------------------------------------------------------------------------------------


def test_fix_writes_the_file_and_prints_what_is_left(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "Dockerfile"
    path.write_bytes(b"FROM scratch as base\r\nENV A b\nENV B c\nRUN a \\\n b \xff\nCMD x")
    path.chmod(0o640)
    assert run(["lint", "--fix", "--format=concise", "Dockerfile", "clean"], {}) == 1
    captured = capsys.readouterr()
    assert path.read_bytes() == b"FROM scratch AS base\r\nENV A=b\nENV B=c\nRUN a \\\n b \xff\nCMD x"
    assert path.stat().st_mode & 0o777 == 0o640 and sorted(each.name for each in folder.iterdir()) == ["Dockerfile", "a", "clean"]
    assert captured.err == "fixed Dockerfile: FromAsCasing, LegacyKeyValueFormat (2)\n"
    assert captured.out.startswith("Dockerfile:6:1: JSONArgsRecommended ") and captured.out.count("\n") == 1
    inode = path.stat().st_ino
    run(["lint", "--fix", "--format=concise"], {})
    assert path.stat().st_ino == inode and not capsys.readouterr().err


def test_a_fixed_file_can_be_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "--fix"], {}) == 0
    assert capsys.readouterr().out == "Check complete, no warnings found.\n"


def test_what_is_no_dockerfile_is_not_touched(folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM scratch as base\nNOPE\n")
    assert run(["lint", "--fix"], {}) == 1
    assert (folder / "Dockerfile").read_text() == "FROM scratch as base\nNOPE\n"


def test_a_file_that_changed_meanwhile_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(ContextError, match="changed while it was checked"):
        write_fixed(folder / "Dockerfile", "something else", "fixed")
    assert (folder / "Dockerfile").read_text() == DIRTY


# -- of a build ----------------------------------------------------------------------------------------------------------


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


# -- gazami's own rules ----------------------------------------------------------------------------------------------------


def test_own_rules_are_lints_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text("FROM debian\nRUN sudo x\n")
    assert run(["lint", "--format=concise"], {}) == 1
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["UnpinnedBase", "SudoInRun"]
    assert run(["lint", "--rules=docker"], {}) == 0
    assert run(["build", ".", "--check"], {}) == 0
    assert run(["lint", "--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=SudoInRun,UnpinnedBase"], {}) == 0
    capsys.readouterr()
    assert run(["lint", "--format=sarif"], {}) == 1
    rules = json.loads(capsys.readouterr().out)["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["UnpinnedBase", "SudoInRun"]


def _tree(folder: Path) -> None:
    for name in ("Dockerfile", "build/Dockerfile", "build/kept/Dockerfile", "sub/web.Dockerfile", "sub/odd \u00e9.Dockerfile"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("FROM scratch\n")
    (folder / ".gitignore").write_text("build/\n")
    (folder / "sub/.gitignore").write_text("odd*\n")


def test_what_git_ignores_is_passed_over(tmp_path: Path) -> None:
    _tree(tmp_path)
    everything = files_of([str(tmp_path)])
    assert len(everything) == 5  # no work tree yet
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    assert files_of([str(tmp_path)]) == (f"{tmp_path}/Dockerfile", f"{tmp_path}/sub/web.Dockerfile")
    assert files_of([f"{tmp_path}/sub"]) == (f"{tmp_path}/sub/web.Dockerfile",)
    assert len(files_of([f"{tmp_path}/build"])) == 2  # it was asked for
    subprocess.run([*git, "add", "-f", "build/Dockerfile"], check=True)
    assert f"{tmp_path}/build/Dockerfile" in files_of([str(tmp_path)])  # Git does not ignore what it has


def test_without_git_nothing_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tree(tmp_path)
    subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    monkeypatch.setenv("PATH", "/nowhere")
    assert len(files_of([str(tmp_path)])) == 5


def test_a_work_tree_cannot_make_lint_run_a_program(tmp_path: Path) -> None:
    _tree(tmp_path)
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "config", "core.fsmonitor", f"touch {tmp_path}/ran; false"], check=True)
    files_of([str(tmp_path)])
    assert not (tmp_path / "ran").exists()
    subprocess.run([*git, "status", "-s"], check=False, capture_output=True)
    assert (tmp_path / "ran").exists()  # the control
