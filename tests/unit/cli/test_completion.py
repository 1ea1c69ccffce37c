"""Completion as a real bash does it; the scripts of the other shells are read by these where they are installed."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from gazami.cli.main import run

_ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
_gazami
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert run(["completion", "bash"], {}) == 0
    path = tmp_path / "gazami.bash"
    path.write_text(capsys.readouterr().out)
    return path


@pytest.mark.parametrize(
    "words, expected",
    [
        (["bui"], {"build"}),
        (["co"], {"completion", "copy"}),
        (["build", "--platf"], {"--platform"}),
        (["build", "--no-cache-f"], {"--no-cache-filter"}),
        (["build", "--progress", ""], {"auto", "plain", "raw", "tty", "quiet", "none"}),
        (["build", "--progress", "=", "t"], {"tty"}),
        (["build", "--progress", "="], {"auto", "plain", "raw", "tty", "quiet", "none"}),
        (["build", "-f", ""], {"Dockerfile", "a b"}),
        (["build", "-t", "x", "D"], {"Dockerfile"}),
        (["cache", ""], {"du", "explain", "ls", "prune"}),
        (["cache", "explain", "--cache-rep"], {"--cache-repo"}),
        (["cache", "prune", "--older"], {"--older-than"}),
        (["state", "prune", "--layer"], {"--layer-cache"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["help", "insp"], {"inspect"}),
        (["build", "--kaniko-d"], {""}),
        (["nonsense", "--x"], {""}),
    ],
)
def test_bash(words: list[str], expected: set[str], script: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "Dockerfile").touch()
    (folder / "a b").touch()
    done = subprocess.run(
        ["bash", "--norc", "-c", _ASK, "bash", str(script), "gazami", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "" and set(done.stdout.removesuffix("\n").split("\n")) == expected


def test_an_interactive_bash_takes_it(script: Path) -> None:
    text = f"source {script}; complete -p gazami"
    done = subprocess.run(["bash", "--norc", "-ic", text], capture_output=True, text=True, check=True)
    assert done.stdout == "complete -F _gazami gazami\n"


@pytest.mark.parametrize("shell, check", [("zsh", ["-n"]), ("fish", ["--no-execute"])])
def test_other_shells(shell: str, check: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell], {}) == 0
    text = capsys.readouterr().out
    assert "--no-cache-filter" in text or "-l no-cache-filter" in text
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    (tmp_path / "script").write_text(text)
    subprocess.run([shell, *check, str(tmp_path / "script")], check=True)


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_manual_pages(tmp_path: Path) -> None:
    script = runpy.run_path(str(Path(__file__).parents[3] / "scripts/render_man.py"))
    pages = script["pages"]()
    assert {"gazami.1", "gazami-build.1", "gazami-cache-explain.1", "gazami-copy.1"} <= set(pages)
    for name, text in pages.items():
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-K", "utf8"], input=text, capture_output=True, text=True, check=True
        )
        assert done.stderr == "", name
        shown = re.sub("\x1b\\[[0-9;]*m|.\b", "", done.stdout)
        assert all(section in shown for section in ("NAME", "SYNOPSIS", "DESCRIPTION")), name
        if name == "gazami-build.1":
            assert "--no-cache-filter STAGE" in shown and "KANIKO_NO_PUSH" in shown


def test_a_shell_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "powershell"], {}) == 1 and run(["completion"], {}) == 1
    assert "gazami completion bash|zsh|fish" in capsys.readouterr().err
