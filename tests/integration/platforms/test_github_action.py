"""The GitHub Action as the runner calls it: inputs and variables in the environment, files for outputs and summary."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.services import docker_registry

pytestmark = [pytest.mark.service, pytest.mark.sandbox]


ACTION = Path(__file__).parents[3] / "action.yml"


def as_passed(inputs: dict[str, str]) -> dict[str, str]:
    """The runner passes every input that the action has: as given, else its default, else empty."""
    defaults = {name: about.get("default", "") for name, about in yaml.safe_load(ACTION.read_text())["inputs"].items()}
    assert set(inputs) <= set(defaults)
    return {f"INPUT_{name.replace(' ', '_').upper()}": value for name, value in {**defaults, **inputs}.items()}


class Job:
    """A job's step as GitHub's runner starts a container action: its variables, and files for outputs and summary that exist."""

    def __init__(self, folder: Path, registry: str) -> None:
        self.folder = folder
        self.inputs = {"registry": registry, "image": "team/app"}
        for name in ("workspace", "home", "runner_temp"):
            (folder / name).mkdir()
        for name in ("output", "summary", "env", "path", "state"):
            (folder / name).touch()
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION": "build",
            "GITHUB_ACTION_REPOSITORY": "OWNER/gazami",
            "GITHUB_ACTION_REF": "v0.1.0",
            "GITHUB_ACTOR": "me",
            "GITHUB_API_URL": "https://api.github.com",
            "GITHUB_ENV": str(folder / "env"),
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_PATH": str(folder / "path"),
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_REF_NAME": "main",
            "GITHUB_REF_TYPE": "branch",
            "GITHUB_REPOSITORY": "owner/repo",
            "GITHUB_REPOSITORY_OWNER": "owner",
            "GITHUB_RUN_ID": "1658821493",
            "GITHUB_RUN_NUMBER": "3",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_SHA": "ffac537e6cbbf934b08745a378932722df287a53",
            "GITHUB_STATE": str(folder / "state"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            "GITHUB_WORKSPACE": str(folder / "workspace"),
            "RUNNER_ARCH": "X64",
            "RUNNER_NAME": "Hosted Agent",
            "RUNNER_OS": "Linux",
            "RUNNER_TEMP": str(folder / "runner_temp"),
        }

    def run(self, **inputs: str) -> subprocess.CompletedProcess[str]:
        environ = self.environ | as_passed({**self.inputs, **inputs})
        return subprocess.run(
            [sys.executable, "-m", "gazami.cli.action"],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder / "workspace",
        )

    @property
    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in (self.folder / "output").read_text().splitlines())


def test_a_job_pushes_and_tells(tmp_path: Path, busybox: str) -> None:
    with docker_registry(tmp_path / "registry", htpasswd=(("me", "t0ken"),)) as registry:
        job = Job(tmp_path, f"localhost:{registry.port}")
        (tmp_path / "workspace/Dockerfile").write_text(f"FROM {busybox}\nRUN echo hello > /x; ls /; env\n")
        refused = job.run()
        assert refused.returncode == 1
        assert "::error file=Dockerfile::" in refused.stdout
        done = job.run(password="t0ken", tag_with_latest="true", tag="1.0", cache="true")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "::add-mask::t0ken" in done.stdout
        assert "t0ken" not in done.stdout.replace("::add-mask::t0ken", "") + done.stderr, "nor does a RUN see it"
        assert job.outputs["image"] == f"localhost:{registry.port}/team/app"
        assert job.outputs["digest"].startswith("sha256:")
        assert job.outputs["image-tag-digest"] == f"localhost:{registry.port}/team/app:1.0@{job.outputs['digest']}"
        assert job.outputs["digest"] in (tmp_path / "summary").read_text()
        same = job.run(password="t0ken", skip_unchanged_digest="true", tag="1.1")
        assert same.returncode == 0, same.stdout + same.stderr
        assert job.outputs["refreshed"] == "false"
        (tmp_path / "workspace/Dockerfile").write_text(f"FROM {busybox}\nRUN echo other > /x\n")
        other = job.run(password="t0ken", skip_unchanged_digest="true", tag="1.2")
        assert other.returncode == 0, other.stdout + other.stderr
        assert job.outputs["refreshed"] == "true"


def test_a_failed_step_has_its_status_and_an_annotation(tmp_path: Path, busybox: str, host: str) -> None:
    job = Job(tmp_path, host)
    (tmp_path / "workspace/Dockerfile").write_text(f"FROM {busybox}\nRUN exit 9\n")
    done = job.run()
    assert done.returncode == 9
    assert "::error file=Dockerfile::" in done.stdout
    missing = job.run(image="")
    assert missing.returncode == 1 and "the input image is needed" in missing.stdout
