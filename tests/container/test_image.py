"""The executor image in the environments that podman can make: which isolation it finds, and that it builds."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.container.conftest import LIMITS, ROOT, Podman

SITE = ROOT / "examples/site"
RESTRICTED = ["--user", "1000:1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
ENVIRONMENTS: dict[str, tuple[list[str], str]] = {
    # what podman is told, and the isolation that is expected; none where a RUN is refused
    "podman's default": ([], "userns"),
    "seccomp unconfined": (["--security-opt", "seccomp=unconfined"], "userns"),
    "Docker's default": (["DOCKER"], "inplace"),
    "privileged": (["--privileged"], "namespaces"),
    "SYS_ADMIN": (["--cap-add", "SYS_ADMIN"], "namespaces"),
    "no capabilities": (["--cap-drop", "ALL"], ""),
    "restricted": (RESTRICTED, "userns-single"),
    "restricted, unconfined": ([*RESTRICTED, "--security-opt", "seccomp=unconfined"], "userns-single"),
    "restricted, Docker's": (["DOCKER", *RESTRICTED], ""),
}


def environment(what: str, docker_options: list[str]) -> tuple[list[str], str]:
    options, mode = ENVIRONMENTS[what]
    return [word for option in options for word in (docker_options if option == "DOCKER" else [option])], mode


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
def test_a_dockerfile_without_run_builds_everywhere(
    what: str, podman: Podman, docker_options: list[str], context: Path
) -> None:
    options, _ = environment(what, docker_options)
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
def test_run_finds_the_isolation_that_there_is(
    what: str, podman: Podman, docker_options: list[str], context: Path
) -> None:
    options, mode = environment(what, docker_options)
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


@pytest.mark.parametrize("what", ["podman's default", "Docker's default", "privileged", "restricted, unconfined"])
def test_apt_get_install(what: str, podman: Podman, docker_options: list[str], debian: str) -> None:
    """The example of the demo: two stages, Debian, a package with a daemon; podman runs what came out."""
    options, mode = environment(what, docker_options)
    target = f"{podman.registry}/site:{mode}"
    done = podman.run(
        options, "--context=dir:///workspace", f"--build-arg=BASE={debian}", f"--destination={target}",
        context=SITE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"isolated by {mode}" in done.stderr
    command = podman.command("run", "--rm", *LIMITS, "--network", "host", "--tls-verify=false", target)
    seen = subprocess.run(
        [*command, "sh", "-c", "nginx -t && stat -c %U:%G /var/www/html/index.html"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout == "www-data:www-data\n"


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


HUNT = Path(__file__).parent / "hunt"
HUNTED = [what for what, (_, mode) in ENVIRONMENTS.items() if mode]


@pytest.mark.parametrize("what", HUNTED)
def test_a_run_cannot_get_at_the_builders_secrets(
    what: str, podman: Podman, docker_options: list[str], debian: str, tmp_path: Path
) -> None:
    """A step of root that hunts: environment, files, /proc of others, tracing, leaving the root, raw disks."""
    options, mode = environment(what, docker_options)
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
    tmp_path.chmod(0o755)
    done = podman.run(
        [
            *options, "-e", "GIT_TOKEN=hunter2", "-e", "KANIKO_REGISTRY_PASSWORD=hunter2",
            "-v", f"{tmp_path}/docker:/kaniko/.docker",
            "-v", f"{tmp_path}/account:/var/run/secrets/kubernetes.io/serviceaccount",
        ],
        "--context=dir:///workspace", "--no-push", context=tmp_path,
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


def test_a_run_in_chroot_mode_cannot_either(
    podman: Podman, docker_options: list[str], debian: str, tmp_path: Path
) -> None:
    """What to ask for where a pod has Docker's profile and its secrets are mounts."""
    (tmp_path / "Dockerfile").write_text(f'FROM {debian}\nCOPY hunt.pl /\nRUN ["perl", "/hunt.pl"]\n')
    shutil.copy(HUNT / "hunt.pl", tmp_path)
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text(json.dumps({"HttpHeaders": {"X-Key": "hunter2"}}))
    done = podman.run(
        [*docker_options, "-e", "GIT_TOKEN=hunter2", "-v", f"{tmp_path}/docker:/kaniko/.docker"],
        "--context=dir:///workspace", "--no-push", "--isolation=chroot", context=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "hunted" in done.stdout
    assert "FOUND" not in done.stdout


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
