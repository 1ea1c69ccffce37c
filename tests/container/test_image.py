"""The executor image in the environments that podman can make: which isolation it finds, and that it builds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.container.conftest import Podman

RESTRICTED = ["--user", "1000:1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
ENVIRONMENTS: dict[str, tuple[list[str], str]] = {
    # what podman is told, and the isolation that is expected; none where a RUN is refused
    "podman's default": ([], "userns"),
    "seccomp unconfined": (["--security-opt", "seccomp=unconfined"], "userns"),
    "privileged": (["--privileged"], "namespaces"),
    "SYS_ADMIN": (["--cap-add", "SYS_ADMIN"], "namespaces"),
    "no capabilities": (["--cap-drop", "ALL"], ""),
    "restricted": (RESTRICTED, ""),
    "restricted, unconfined": ([*RESTRICTED, "--security-opt", "seccomp=unconfined"], ""),
}


@pytest.fixture
def context(tmp_path: Path, podman: Podman) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "NoRun").write_text(
        f"FROM {podman.base}\nCOPY file /f\nWORKDIR /w\nENV A=b\nCOPY --from={podman.base} /bin/sh /sh\n"
    )
    (folder / "Dockerfile").write_text(
        f"FROM {podman.base}\nRUN echo built > /made && chown 33:33 /made && mkdir /d && chmod 1777 /d\n"
        "USER 33\nRUN id -u > /tmp/who\n"
    )
    (folder / "file").write_text("x")
    folder.chmod(0o755)
    return folder


@pytest.mark.parametrize("what", ENVIRONMENTS)
def test_a_dockerfile_without_run_builds_everywhere(what: str, podman: Podman, context: Path) -> None:
    options, _ = ENVIRONMENTS[what]
    done = podman.run(
        options,
        "--context=dir:///workspace",
        "--dockerfile=NoRun",
        f"--destination={podman.registry}/norun:1",
        context=context,
    )
    assert done.returncode == 0, done.stderr
    assert "isolated" not in done.stderr


@pytest.mark.parametrize("what", ENVIRONMENTS)
def test_run_finds_the_isolation_that_there_is(what: str, podman: Podman, context: Path) -> None:
    options, mode = ENVIRONMENTS[what]
    done = podman.run(options, "--context=dir:///workspace", f"--destination={podman.registry}/run:1", context=context)
    if not mode:
        assert done.returncode == 1
        assert "RUN steps cannot be isolated here" in done.stderr
        assert "CAP_SYS_ADMIN" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert f"isolated by {mode}" in done.stderr
    layers = json.loads(
        subprocess.run(
            ["skopeo", "inspect", "--tls-verify=false", f"docker://{podman.registry}/run:1"],
            capture_output=True,
            check=True,
        ).stdout
    )["Layers"]
    assert len(layers) == 3


def test_the_image_is_kanikos_place(podman: Podman) -> None:
    config = json.loads(
        subprocess.run(
            ["skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{podman.image}"],
            capture_output=True,
            check=True,
        ).stdout
    )["config"]
    assert config["Entrypoint"] == ["/kaniko/executor"]
    assert config["WorkingDir"] == "/workspace"
    environ = dict(line.split("=", 1) for line in config["Env"])
    assert environ["DOCKER_CONFIG"] == "/kaniko/.docker/"
    assert environ["SSL_CERT_DIR"] == "/kaniko/ssl/certs"
    assert environ["HOME"] == "/root"
    assert podman.run([], "version").stdout.startswith("Kaniko version")
    warmer = podman.run([], "--help", image=f"{podman.registry}/gazami:warmer")
    assert "--image" in warmer.stdout
    shell = podman.run(
        ["--entrypoint", "sh"], "-c", "/kaniko/executor version && ls /kaniko", image=f"{podman.registry}/gazami:debug"
    )
    assert "warmer" in shell.stdout


def test_gitlabs_script(podman: Podman, context: Path) -> None:
    script = (
        'mkdir -p /kaniko/.docker && echo "{\\"auths\\":{}}" > /kaniko/.docker/config.json && '
        '/kaniko/executor --context "${CI_PROJECT_DIR}" '
        f'--dockerfile "${{CI_PROJECT_DIR}}/Dockerfile" --destination "{podman.registry}/gitlab:${{CI_COMMIT_TAG}}"'
    )
    done = podman.run(
        ["--entrypoint", "", "-e", "CI_PROJECT_DIR=/workspace", "-e", "CI_COMMIT_TAG=v1"], "sh", "-c", script, context=context,
        image=f"{podman.registry}/gazami:debug",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", f"docker://{podman.registry}/gitlab:v1"],
        capture_output=True,
        check=False,
    )
    assert found.returncode == 0


def test_git_works_in_the_image(podman: Podman) -> None:
    done = podman.run([], "--context=git://localhost:1/nothing.git", "--no-push")
    assert done.returncode == 1
    assert "git" in done.stderr and "not installed" not in done.stderr


def test_a_run_does_not_see_the_builders_secrets(podman: Podman, context: Path) -> None:
    """In namespaces and userns: neither the environment nor the files of the container that builds."""
    (context / "Dockerfile").write_text(
        f"FROM {podman.base}\nRUN env; cat /kaniko/.docker/config.json /proc/1/environ /proc/*/environ "
        "/proc/*/root/kaniko/.docker/config.json 2>/dev/null; true\n"
    )
    (context / "docker").mkdir()
    (context / "docker/config.json").write_text('{"auths": {"example.com": {"auth": "czNjcjN0OnMzY3IzdA=="}}}')
    for options in ([], ["--privileged"]):
        done = podman.run(
            [*options, "-v", f"{context}/docker:/kaniko/.docker", "-e", "GIT_TOKEN=hunter2-token"],
            "--context=dir:///workspace", "--no-push", context=context,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "hunter2-token" not in done.stdout + done.stderr
        assert "czNjcjN0OnMzY3IzdA" not in done.stdout + done.stderr
