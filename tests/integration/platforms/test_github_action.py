"""The GitHub Action as the runner calls it: inputs and variables in the environment, files for outputs and summary."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests import github
from tests.services import docker_registry

pytestmark = [pytest.mark.service, pytest.mark.sandbox]


class Job:
    """A job whose step is the action. Its folder has what the runner makes."""

    def __init__(self, folder: Path, registry: str) -> None:
        self.folder = folder
        self.inputs = {"registry": registry, "image": "team/app"}
        for name in ("workspace", "home", "temporary"):
            (folder / name).mkdir()
        for name in github.FILES:
            (folder / name).touch()
        self.environ = {
            "PATH": os.environ["PATH"],
            **github.variables(
                home=f"{folder}/home", workspace=f"{folder}/workspace", files=str(folder), temporary=f"{folder}/temporary"
            ),
        }

    def run(self, **inputs: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gazami.cli.kaniko.action"],
            env=self.environ | github.inputs(**{**self.inputs, **inputs}),
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder / "workspace",
        )

    @property
    def outputs(self) -> dict[str, str]:
        return github.outputs(self.folder)


def test_a_job_pushes_and_tells(tmp_path: Path, busybox: str) -> None:
    with docker_registry(tmp_path / "registry", htpasswd=(("me", "t0ken"),)) as registry:
        job = Job(tmp_path, f"localhost:{registry.port}")
        (tmp_path / "workspace/Dockerfile").write_text(f"FROM {busybox}\nRUN echo hello > /x; ls /; env\n")
        refused = job.run()
        assert refused.returncode == 1
        assert "::error title=gazami::" in refused.stderr and "401" in refused.stderr
        done = job.run(password="t0ken", tag_with_latest="true", tag="1.0", cache="true")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "::add-mask::t0ken" in done.stdout
        assert "t0ken" not in done.stdout.replace("::add-mask::t0ken", "") + done.stderr, "nor does a RUN see it"
        assert job.outputs["image"] == f"localhost:{registry.port}/team/app"
        assert job.outputs["digest"].startswith("sha256:")
        assert job.outputs["image-tag-digest"] == f"localhost:{registry.port}/team/app:1.0@{job.outputs['digest']}"
        page = (tmp_path / "summary").read_text()
        assert page.count(job.outputs["digest"]) >= 2 and "| `[1/1] RUN echo hello > /x; ls /; env` | " in page
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
    assert "::error file=Dockerfile,line=2,endLine=2,title=RUN exit 9::process" in done.stderr
    assert "::group::[1/1] RUN exit 9\n" in done.stderr
    page = (tmp_path / "summary").read_text()
    assert page.startswith("### Build failed\n") and "| **`[1/1] RUN exit 9`** | **failed** " in page
    assert "   2 | >>> RUN exit 9\n" in page
    missing = job.run(image="")
    assert missing.returncode == 1 and "the input image is needed" in missing.stdout
