"""The GitHub Action's own container: built from ``action.Dockerfile``, started as GitHub's runner does with Docker."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import github
from tests.container.conftest import ROOT, Podman
from tests.container.environments import ENVIRONMENTS, IN_ANOTHER_IMAGE
from tests.container.pushed import pushed
from tests.programs import gazami
from tests.services import docker_registry

PYTHON = """
FROM {debian} AS installed
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip && rm -rf /var/lib/apt/lists/* \
    && rm /usr/lib/python3*/EXTERNALLY-MANAGED
FROM scratch
COPY --from=installed / /
"""
"""Stands for ``python:3.11-slim``: a Debian with Python, whose pip installs into the system."""
USER, PASSWORD = "me", "ghs_hunter2"


@pytest.fixture(scope="module")
def action(podman: Podman, debian: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("action")
    (folder / "Dockerfile").write_text(PYTHON.format(debian=debian))
    python, made = f"{podman.registry}/python:3.11-slim", f"{podman.registry}/action"
    base = f"--build-context=python:3.11-slim=docker-image://{python}"
    # podman's vfs copies the whole root for each layer, so there is one
    for words in (
        [str(folder), f"-t={python}"],
        [str(ROOT), f"-f={ROOT / 'action.Dockerfile'}", base, f"-t={made}", "--single-snapshot"],
    ):
        done = gazami("build", *words, f"--state-dir={folder / 'state'}")
        assert done.returncode == 0, done.stderr
    return made


def test_the_action_in_its_container(podman: Podman, action: str, docker_seccomp: str, tmp_path: Path) -> None:
    for name in ("home", "workspace", "files", "runner_temp"):
        (tmp_path / name).mkdir()
    for name in github.FILES:
        (tmp_path / "files" / name).touch()
    (tmp_path / "workspace/Dockerfile").write_text(f"FROM {podman.base}\nCOPY Dockerfile /\nRUN cat /Dockerfile > /made\n")
    with docker_registry(tmp_path / "registry", htpasswd=((USER, PASSWORD),)) as registry:
        host = f"localhost:{registry.port}"
        given = github.inputs(registry=host, image="team/app", password=PASSWORD, tag="1.0", tag_with_latest="true")
        variables = github.variables(
            home="/github/home", workspace="/github/workspace", files="/github/files", temporary="/github/runner_temp"
        )
        options = [*ENVIRONMENTS["Docker's default"].with_profile(docker_seccomp), "--tls-verify=false"]
        options += ["--workdir=/github/workspace"]
        options += [f"--volume={tmp_path / name}:/github/{name}" for name in ("home", "workspace", "files", "runner_temp")]
        options += [f"--env={name}={value}" for name, value in {**given, **variables}.items()]
        done = podman.run(options, image=action)
        log = done.stdout + done.stderr
        assert done.returncode == 0, log
        assert f"isolated by {IN_ANOTHER_IMAGE}" in log
        assert PASSWORD not in log.replace(f"::add-mask::{PASSWORD}", "")
        _, files = pushed(f"{host}/team/app:latest", tmp_path, credentials=f"{USER}:{PASSWORD}")
    assert files["made"]["sha256"] == files["Dockerfile"]["sha256"]
    outputs = github.outputs(tmp_path / "files")
    assert outputs["image-tag-digest"] == f"{host}/team/app:1.0@{outputs['digest']}"
    assert outputs["digest"] in (tmp_path / "files/summary").read_text()
