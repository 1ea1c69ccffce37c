"""``--report`` from outside: the files of a good build and of bad ones, and of a directory that cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.programs import gazami
from tests.schema import problems

pytestmark = [pytest.mark.service, pytest.mark.sandbox]

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/reference/report.schema.json").read_text())
PAGE = Path(__file__).parents[3] / "docs/how-to/build-reports.md"
FILES = ["report.html", "summary.json", "summary.md"]


def summary(folder: Path) -> dict[str, Any]:
    """The document, once it is clear that the report is whole."""
    assert sorted(each.name for each in folder.iterdir()) == FILES
    known: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    assert problems(known, SCHEMA) == []
    return known


def test_reports_of_a_build_its_repetition_and_its_failure(context: Path, busybox: str, host: str, tmp_path: Path) -> None:
    dockerfile = f"FROM {busybox} AS make\nCOPY a /a\nRUN cp /a /b\nFROM {busybox}\nCOPY --from=make /b /b\nRUN cat /b; exit {{}}\n"
    (context / "Dockerfile").write_text(dockerfile.format(0))
    (context / "a").write_text("1")
    words = [
        "build",
        ".",
        "-t",
        f"{host}/app/report:1",
        f"--state-dir={tmp_path / 'state'}",
        "--cache",
        f"--cache-repo={host}/c/report",
    ]
    words += ["--report=../report"]
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    done = gazami(*words, cwd=context, env=github)
    assert done.returncode == 0, done.stderr
    known = summary(tmp_path / "report")
    assert (known["outcome"], known["cache"]["hits"], known["error"]) == ("succeeded", 0, None)
    assert [each["outcome"] for stage in known["stages"] for each in stage["steps"]] == ["done"] * 4
    assert known["image"]["digest"] in done.stdout + done.stderr
    assert known["image"]["config"]["Env"] and len(known["image"]["layers"]) >= 2
    assert known["requests"] > 0 and known["isolation"]["mode"] and known["transfers"] and known["phases"]
    assert known["outputs"] == [{"kind": "image", "where": f"{host}/app/report:1", "digest": known["image"]["digest"]}]
    assert (tmp_path / "summary").read_text() == (tmp_path / "report/summary.md").read_text()

    (context / "a").write_text("2")
    assert gazami(*words, cwd=context).returncode == 0
    steps = {each["text"]: each for stage in summary(tmp_path / "report")["stages"] for each in stage["steps"]}
    assert steps["RUN cp /a /b"]["reasons"] == ["a changed"]
    assert "`a changed`" in (tmp_path / "report/summary.md").read_text()

    (context / "Dockerfile").write_text(dockerfile.format(7))
    done = gazami(*words, cwd=context)
    assert done.returncode == 7
    known = summary(tmp_path / "report")
    assert (known["outcome"], known["error"]["exitCode"], known["error"]["line"], known["image"]) == ("failed", 7, 6, None)
    assert known["stages"][-1]["steps"][-1]["outcome"] == "failed"
    assert known["stages"][-1]["steps"][-1]["output"] == "2"
    assert "exit code: 7" in (tmp_path / "report/report.html").read_text()


def test_reports_where_nothing_was_built(context: Path, busybox: str, tmp_path: Path) -> None:
    state = f"--state-dir={tmp_path / 'state'}"
    (context / "Dockerfile").write_text(f"FROM {busybox}\nCOPY missing /\n")
    done = gazami("build", str(context), "--no-push", state, f"--report={tmp_path / 'a/b'}")
    assert done.returncode == 1
    assert "missing" in summary(tmp_path / "a/b")["error"]["message"]
    (context / "Dockerfile").write_text(f"FROM {busybox}\nENV A=b\n")
    done = gazami("build", str(context), "--no-push", state, "--dry-run", f"--report={tmp_path / 'dry'}")
    assert done.returncode == 0, done.stderr
    assert summary(tmp_path / "dry")["image"] is None


def test_a_report_inside_the_context_is_not_in_the_image(context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /context\n")
    words = ["build", ".", f"--state-dir={tmp_path / 'state'}", f"--output={tmp_path / 'out'}", "--report=ci/report"]
    done = gazami(*words, cwd=context)
    assert done.returncode == 0, done.stderr
    assert [each.name for each in (tmp_path / "out/context").iterdir()] == ["Dockerfile"]
    assert summary(context / "ci/report")["outcome"] == "succeeded"


def test_the_executor_reports_and_the_questions_of_the_page_have_answers(context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nWORKDIR /x\nCOPY Dockerfile /\n")
    words = [
        f"--context={context}",
        "--no-push",
        f"--state-dir={tmp_path / 'state'}",
        "--cache",
        f"--cache-repo=oci:{tmp_path / 'cache'}",
    ]
    command = [sys.executable, "-m", "gazami.cli.kaniko.executor", *words, "--report=report", "--cache-copy-layers"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    known = summary(tmp_path / "report")
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("jq ")]
    answers = [subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True).stdout for line in lines]
    assert answers[0] == f'"0 of {known["cache"]["misses"]}"\n' and known["cache"]["misses"]
    assert answers[1].startswith(f"{known['stages'][0]['steps'][0]['file']}:2 ")
    assert len(answers[2].splitlines()) == 2 and len(answers) == 4
    assert 0 < float(answers[3]) <= known["seconds"]


def test_a_directory_that_cannot_be_made_is_said_first(context: Path, busybox: str, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN true\n")
    (tmp_path / "file").write_text("")
    done = gazami("build", str(context), "--no-push", f"--state-dir={tmp_path / 'state'}", f"--report={tmp_path / 'file/x'}")
    assert done.returncode == 1
    assert "cannot write the report" in done.stderr and "hint: " in done.stderr
    assert "RUN" not in done.stderr
