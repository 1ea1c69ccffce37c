"""The executor image in the environments that podman can make: which isolation it finds, and that it builds."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.container.conftest import LIMITS, Executor, Podman
from tests.container.environments import ENVIRONMENTS, RUNNING
from tests.container.modules import NEVER_IMPORTED, missing


@pytest.fixture
def context(tmp_path: Path, podman: Podman) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "NoRun").write_text(f"FROM {podman.base}\nCOPY file /f\nWORKDIR /w\nENV A=b\nCOPY --from={podman.base} /bin/sh /sh\n")
    (folder / "Dockerfile").write_text(
        f"FROM {podman.base}\nRUN echo built > /made && chown 33:33 /made && mkdir /d && chmod 1777 /d\n"
        "USER 33\nRUN id -u > /tmp/who\n"
    )
    (folder / "file").write_text("x")
    folder.chmod(0o755)
    return folder


@pytest.mark.parametrize("what", ENVIRONMENTS)
def test_a_dockerfile_without_run_builds_everywhere(what: str, podman: Podman, executor: Executor, context: Path) -> None:
    done = executor.build(what, "--dockerfile=NoRun", f"--destination={podman.registry}/norun:1", context=context)
    assert done.returncode == 0, done.stderr
    assert "isolated" not in done.stderr


def test_the_image_is_kanikos_place(podman: Podman) -> None:
    config = json.loads(
        subprocess.run(
            ["skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{podman.image}"], capture_output=True, check=True
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


def test_the_image_is_small(podman: Podman) -> None:
    words = podman.command("image", "inspect", "--format", "{{.Size}}", podman.image)
    size = int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert size < 60_000_000, "bytes unpacked"


def test_no_module_is_missing(podman: Podman) -> None:
    """Every import in gazami, its dependencies and Python's codecs, those within functions too, finds its module in the image."""
    assert missing(podman.tree / "kaniko") <= NEVER_IMPORTED


def test_git_works_in_the_image(podman: Podman) -> None:
    done = podman.run([], "--context=git://localhost:1/nothing.git", "--no-push")
    assert done.returncode == 1
    assert "git" in done.stderr and "not installed" not in done.stderr


HUNT = Path(__file__).parent / "hunt"


@pytest.mark.parametrize("what", RUNNING)
def test_a_run_cannot_get_at_the_builders_secrets(what: str, executor: Executor, debian: str, tmp_path: Path) -> None:
    """A step of root that hunts: environment, files, /proc of others, tracing, leaving the root, raw disks."""
    tmp_path.chmod(0o755)  # a user namespace's root is nobody out here
    (tmp_path / "Dockerfile").write_text(f'FROM {debian}\nCOPY hunt.pl /\nRUN ["perl", "/hunt.pl"]\n')
    shutil.copy(HUNT / "hunt.pl", tmp_path)
    auth = base64.b64encode(b"user:hunter2").decode()
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text(
        json.dumps({"auths": {"example.com": {"auth": auth}}, "HttpHeaders": {"X-Key": "hunter2"}})
    )
    (tmp_path / "account").mkdir()
    (tmp_path / "account/token").write_text("hunter2")
    (tmp_path / ".dockerignore").write_text("docker\naccount\n")
    mode = ENVIRONMENTS[what].mode
    done = executor.build(
        what, "--no-push", context=tmp_path,
        options=[
            "-e", "GIT_TOKEN=hunter2", "-e", "KANIKO_REGISTRY_PASSWORD=hunter2",
            "-v", f"{tmp_path}/docker:/kaniko/.docker",
            "-v", f"{tmp_path}/account:/var/run/secrets/kubernetes.io/serviceaccount",
        ],
    )  # fmt: skip
    log = done.stdout + done.stderr
    assert done.returncode == 0, log
    assert f"isolated by {mode}" in log
    assert "hunted" in log
    found = {line for line in log.splitlines() if line.startswith("FOUND")}
    if mode == "inplace":  # what the pod mounts is in the container that the step shares, and there is a warning
        assert "FOUND in /kaniko/.docker/config.json" in found
        assert all(line.endswith("docker/config.json") for line in found), found
        assert "can read /kaniko/.docker/config.json, /var/run/secrets/kubernetes.io/serviceaccount/token" in log
    else:
        assert not found
    assert "hunter2" not in log


def test_the_hunt_finds_what_can_be_found(podman: Podman, debian: str, tmp_path: Path) -> None:
    """The control of the test above: the same program where nothing protects the secrets."""
    (tmp_path / "config.json").write_text("hunter2")
    words = podman.command(
        "run", "--rm", *LIMITS, "--network", "host", "--tls-verify=false", "-e", "GIT_TOKEN=hunter2",
        "-v", f"{tmp_path}:/kaniko/.docker", "-v", f"{HUNT}:/hunt", debian, "perl", "/hunt/hunt.pl",
    )  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert "FOUND in the environment" in done.stdout, done.stderr
    assert "FOUND in /kaniko/.docker/config.json" in done.stdout
    assert "hunted" in done.stdout
