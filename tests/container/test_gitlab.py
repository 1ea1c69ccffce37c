"""The job of GitLab's documentation and the component, run by gitlab-ci-local with podman as a runner that has Docker would."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.container.conftest import ROOT, Podman
from tests.container.environments import ENVIRONMENTS
from tests.container.pushed import pushed
from tests.gitserver import git
from tests.npm import installed
from tests.roots import busybox_root
from tests.services import docker_registry

JOB = ROOT / "deploy/gitlab/gitlab-ci.yml"
COMPONENT = ROOT / "deploy/gitlab/template.yml"
IMAGE = "registry.example.com/gazami/executor:0.1.0-debug"
USER, PASSWORD = "gitlab-ci-token", "hunter2"
MODE = ENVIRONMENTS["Docker's default"].mode
PODMAN = '#!/bin/sh\nexec {program} "$@"\n'
CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
seccomp_profile = "{profile}"
default_capabilities = [
  "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP",
  "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
]
"""
"""Limits that a machine without CAP_SYS_RESOURCE can set; the profile and the capabilities of Docker."""


@dataclass(frozen=True, slots=True)
class Runner:
    """``folder`` has a ``podman`` for the PATH of gitlab-ci-local; ``registry`` is that of GitLab, which wants credentials."""

    podman: Podman
    folder: Path
    registry: str

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
        }

    def run(self, project: Path, job: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one job with the variables that GitLab gives to jobs, of those that are about the registry."""
        told = {
            "CI_REGISTRY": self.registry,
            "CI_REGISTRY_IMAGE": f"{self.registry}/group/app",
            "CI_REGISTRY_USER": USER,
            "CI_REGISTRY_PASSWORD": PASSWORD,
            **variables,
        }
        words = [str(installed("gitlab-ci-local", "containers")), "--container-executable=podman", "--network=host"]
        words += ["--pull-policy=if-not-present", "--color=false"]
        words += [f"--variable={key}={value}" for key, value in told.items()]
        return subprocess.run(
            [*words, job], cwd=project, env=self.environ, capture_output=True, text=True, check=False, timeout=240
        )


@pytest.fixture(scope="module")
def runner(podman: Podman, docker_seccomp: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    installed("gitlab-ci-local", "containers")
    folder = tmp_path_factory.mktemp("gitlab")
    (folder / "podman").write_text(PODMAN.format(program=shlex.join([str(shutil.which("podman")), *podman.command()[1:]])))
    (folder / "podman").chmod(0o755)
    (folder / "containers.conf").write_text(CONFIGURATION.format(profile=docker_seccomp))
    carrier = podman.image_of(carrier_root(folder / "carrier/root"), "carrier")
    for command in (
        ["pull", "-q", "--tls-verify=false", carrier],
        ["tag", carrier, "docker.io/firecow/gitlab-ci-local-util"],
        ["tag", f"{podman.registry}/gazami:debug", IMAGE],
    ):
        subprocess.run(podman.command(*command), check=True, capture_output=True)
    with docker_registry(folder / "registry", htpasswd=((USER, PASSWORD),)) as registry:
        yield Runner(podman, folder, f"localhost:{registry.port}")
    for command in (["rm", "--all", "--force", "--volumes"], ["volume", "prune", "--force"]):
        subprocess.run(podman.command(*command), check=True, capture_output=True)


def carrier_root(root: Path) -> Path:
    """What gitlab-ci-local copies a job's files with: a root that has bash and rsync."""
    busybox_root(root)
    for name in ("bash", "rsync"):
        program = shutil.which(name)
        if not program:
            pytest.skip(f"{name} is not installed: scripts/setup containers")
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for place in (program, *re.findall(r"(/\S+) \(0x", listed)):
            target = root / place.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copy(Path(place).resolve(), target)
    return root


@pytest.fixture
def project(tmp_path: Path, podman: Podman) -> Path:
    """A checkout whose origin is a GitLab; its configuration is not committed, as it names the commit."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {podman.base}\nCOPY README /\nRUN cat /README > /made\n")
    (folder / "README").write_text("of the project\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    git(folder, "remote", "add", "origin", "https://gitlab.example.com/group/app.git")
    return folder


def assert_pushed(runner: Runner, done: subprocess.CompletedProcess[str], tag: str, folder: Path) -> None:
    log = done.stdout + done.stderr
    assert done.returncode == 0, log
    assert f"isolated by {MODE}" in log
    _, files = pushed(f"{runner.registry}/group/app:{tag}", folder, credentials=f"{USER}:{PASSWORD}")
    assert files["made"]["sha256"] == files["README"]["sha256"]


def test_the_documented_job(runner: Runner, project: Path, tmp_path: Path) -> None:
    """Byte for byte; the image is there by the name that the job has."""
    shutil.copy(JOB, project / ".gitlab-ci.yml")
    done = runner.run(project, "build", CI_COMMIT_TAG="v1.0")
    assert_pushed(runner, done, "v1.0", tmp_path)


@pytest.mark.parametrize("config", [True, False], ids=["config.json", "CI_REGISTRY_USER"])
def test_the_same_job_in_fewer_words(config: bool, runner: Runner, project: Path, tmp_path: Path) -> None:
    """The context is the working directory; and the credentials need no file, since those of the job are found."""
    pipeline = yaml.safe_load(JOB.read_text())
    script = pipeline["build"]["script"]
    assert "config.json" in script[1]
    short = '/kaniko/executor --context . --destination "$CI_REGISTRY_IMAGE:$CI_COMMIT_TAG"'
    pipeline["build"]["script"] = [*(script[:2] if config else []), short]
    (project / ".gitlab-ci.yml").write_text(yaml.safe_dump(pipeline))
    tag = f"short-{config}"
    assert_pushed(runner, runner.run(project, "build", CI_COMMIT_TAG=tag), tag, tmp_path)


def test_the_component(runner: Runner, project: Path, tmp_path: Path) -> None:
    """Included as its first lines say, without a config.json."""
    (project / "templates").mkdir()
    shutil.copy(COMPONENT, project / "templates/gazami.yml")
    commit = git(project, "rev-parse", "HEAD")
    (project / ".gitlab-ci.yml").write_text(
        f"include:\n  - component: $CI_SERVER_FQDN/group/app/gazami@{commit}\n"
        '    inputs: { destination: "$CI_REGISTRY_IMAGE:component", args: "--label=by=component" }\n'
    )
    done = runner.run(project, "build-image")
    assert_pushed(runner, done, "component", tmp_path)
    digest = (project / ".gitlab-ci-local/artifacts/build-image/image.digest").read_text()
    assert digest.startswith("sha256:") and digest in done.stdout + done.stderr


def test_a_wrong_password_fails_the_job(runner: Runner, project: Path) -> None:
    shutil.copy(JOB, project / ".gitlab-ci.yml")
    done = runner.run(project, "build", CI_COMMIT_TAG="v1.1", CI_REGISTRY_PASSWORD="wrong")
    assert done.returncode != 0
    assert "401" in done.stdout + done.stderr
