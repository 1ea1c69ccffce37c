"""Engines that give a container a script of commands: Drone, Woodpecker, Bitbucket. Each file is read, and its commands are run
as the engine's runner starts them, with the variables that it sets."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from tests.integrations.conftest import Site
from tests.integrations.kubelet import Kubelet
from tests.integrations.registry import remote_digest
from tests.podman import ROOT

SHA = "5c1ee5f0a2d6"


@dataclass(frozen=True, slots=True)
class Engine:
    """``file`` below deploy/; ``workspace`` is where it checks out, ``sha`` the variable of the commit. ``start`` is the entry
    point that it gives the container, ``script`` the variable with the commands, as base64 or as they are; empty for standard
    input."""

    file: str
    workspace: str
    sha: str
    start: str
    script: str = ""
    encoded: bool = False


ENGINES = {
    "drone": Engine(".drone.yml", "/drone/src", "DRONE_COMMIT_SHA", 'echo "$DRONE_SCRIPT" | /bin/sh', "DRONE_SCRIPT"),
    "woodpecker": Engine(
        ".woodpecker.yaml", "/woodpecker/src/git.example.com/team/app", "CI_COMMIT_SHA",
        "echo $CI_SCRIPT | base64 -d | /bin/sh -e", "CI_SCRIPT", encoded=True,
    ),
    "bitbucket": Engine("bitbucket-pipelines.yml", "/opt/atlassian/pipelines/agent/build", "BITBUCKET_COMMIT", "/bin/sh -e"),
}  # fmt: skip


def step_of(name: str) -> tuple[str, list[str], dict[str, Any]]:
    """The image, the commands and the environment of the one step."""
    document = yaml.safe_load((ROOT / "deploy" / name / ENGINES[name].file).read_text())
    if name == "bitbucket":
        [entry] = document["pipelines"]["default"]
        return entry["step"]["image"], entry["step"]["script"], {}
    [step] = document["steps"]
    return step["image"], step["commands"], step["environment"]


def script_of(commands: list[str], workspace: str) -> str:
    """Each command is shown before it is run, and the first that fails ends the step."""
    shown = "\n".join(f"echo + {command!r}\n{command}" for command in commands)
    return f"set -e\nmkdir -p {workspace}\ncd {workspace}\n{shown}\n"


@pytest.mark.parametrize("name", ENGINES)
def test_a_checkout_is_built_and_pushed(name: str, kubelet: Kubelet, site: Site) -> None:
    engine = ENGINES[name]
    image, commands, secrets = step_of(name)
    assert image.endswith("-debug"), "a script needs a shell"
    assert secrets in ({}, {"DOCKER_AUTH_CONFIG": {"from_secret": "docker_auth_config"}})
    place = f"{site.registry}/of-{name}"
    script = script_of([line.replace("registry.example.com/team/app", place) for line in commands], engine.workspace)
    env: Mapping[str, str] = {"DOCKER_AUTH_CONFIG": site.config, "HOME": "/root", "CI": "true", engine.sha: SHA}
    if engine.script:
        env = {**env, engine.script: base64.b64encode(script.encode()).decode() if engine.encoded else script}
    workspace = kubelet.copy("checkout", site.sources)
    os.chmod(workspace, 0o777)
    words = kubelet.words(
        f"{kubelet.podman.registry}/gazami:debug",
        ["/bin/sh", "-c"],
        [engine.start],
        {engine.workspace: workspace},
        env,
        engine.workspace,
    )
    ended = kubelet.run(words, b"" if engine.script else script.encode())
    assert ended.status == 0, ended.log
    digest = remote_digest(f"{place}:{SHA}")
    assert (workspace / "image.digest").read_text() == digest
    assert f"pushed {place}@{digest}" in ended.log
    assert "hunter2" not in ended.log


def test_a_step_that_fails_ends_the_script(kubelet: Kubelet, site: Site) -> None:
    engine = ENGINES["woodpecker"]
    workspace = kubelet.copy("checkout", site.sources)
    (workspace / "Dockerfile").write_text((workspace / "Dockerfile").read_text() + "RUN exit 7\n")
    script = script_of(["/kaniko/executor --context . --no-push", "echo not reached"], engine.workspace)
    env = {engine.script: base64.b64encode(script.encode()).decode(), "HOME": "/root"}
    words = kubelet.words(
        f"{kubelet.podman.registry}/gazami:debug",
        ["/bin/sh", "-c"],
        [engine.start],
        {engine.workspace: workspace},
        env,
        engine.workspace,
    )
    ended = kubelet.run(words)
    assert ended.status == 7, ended.log
    assert "not reached" not in ended.log
