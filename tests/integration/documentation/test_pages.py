"""The command lines of the how-to pages are carried out, page by page and in their order, on a small image and a real registry."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.services import docker_registry

PAGES = Path(__file__).parents[3] / "docs/how-to"
FENCE = re.compile(r"^ *```[a-z]*\n(.*?)^ *```$", re.M | re.S)
CALL = re.compile(r"^ *(?:[$-] )?((?:.*\| )?(?:gazami|/kaniko/executor) .*)")
DOCKERFILE = "FROM scratch AS before\nWORKDIR /app\nFROM before AS app\nARG V=0\nCOPY file /app/file-$V\nLABEL v=$V\n"
RUN = {
    "ci": 4, "choose-isolation": 4, "debug-a-failed-build": 3, "compare-images": 3, "cache": 7, "use-private-registries": 10,
    "contexts": 1, "build-reports": 2, "migrate-from-kaniko": 4, "from-docker-build": 5,
}  # fmt: skip
"""How many lines of each page are carried out, at the least: a page whose lines are not found would pass."""
LEFT_OUT = {
    "--load": "writes to this machine's podman: tests/integration/output/test_outputs.py",
    "gazami login registry.example.com": "asks for a password: tests/integration/commands/test_commands.py",
    "git.example.com": "a repository: tests/integration/context/test_contexts.py",
    "corp-ca.pem": "a certificate: tests/integration/registry/test_registry_flags.py",
    "cert.pem": "the same",
    "--on-failure=shell": "a terminal: tests/integration/commandline/test_on_failure_shell.py",
    "--expose-mounts": "a container's volumes: tests/container/test_volumes.py",
}
PREPARED = {
    "compare-images": (
        "gazami build . -q -t $HOST/app:1.0 -t $HOST/app:stable -t $HOST/app:$CI_COMMIT_SHA",
        "gazami build . -q --no-push -t app:2 --tar-path new.tar && cp new.tar app.tar",
    ),
    "cache": (
        "gazami build . -q -t $HOST/app:1.0 --cache --cache-repo oci:$HOME/var-cache",
        "gazami build . -q -t $HOST/app:1.0 --cache",
    ),
}
"""What a page takes for granted."""


def lines(page: str) -> list[str]:
    """The lines that call gazami, those that go on joined, without comments."""
    text = (PAGES / f"{page}.md").read_text()
    found = [CALL.match(line) for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    return [re.sub(r"\s+# .*", "", match[1]).strip() for match in found if match]


def carried_out(page: str) -> list[str]:
    return [line for line in lines(page) if not any(words in line for words in LEFT_OUT)]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry"), htpasswd=(("me", "word"),)) as registry:
        yield f"localhost:{registry.port}"


@pytest.fixture
def place(host: str, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    app = tmp_path / "app"
    for name in ("docker", "keys"):
        (app / name).mkdir(parents=True)
    (tmp_path / "m2").mkdir()
    (app / "file").write_text("file")
    (app / "Dockerfile").write_text(DOCKERFILE)
    (app / "docker/Dockerfile").write_text(DOCKERFILE)
    (app / "Dockerfile.alone").write_text("FROM scratch\nLABEL a=b\n")
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8",
        "GAZAMI_STATE_DIR": str(tmp_path / "state"), "HOST": host, "IMAGE": f"{host}/app", "TOKEN": "t",
        "CI_PROJECT_DIR": str(app), "CI_REGISTRY_IMAGE": f"{host}/group/app", "CI_COMMIT_REF_SLUG": "main", "CI_COMMIT_TAG": "v1",
        "CI_COMMIT_SHA": "0123abc", "CI_PIPELINE_ID": tmp_path.name, "CI_JOB_ATTEMPT": "1", "NAME": "me", "PASSWORD": "word",
        "REGISTRY": host, "REGISTRY_USER": "me", "REGISTRY_PASSWORD": "word",
    }  # fmt: skip
    run(place := (app, environ), 'echo "$PASSWORD" | gazami login -q -u me --password-stdin $HOST')
    return place


def run(place: tuple[Path, dict[str, str]], line: str) -> None:
    app, environ = place
    line = line.replace("registry.example.com", environ["HOST"]).replace("/root/.m2:", f"{app.parent}/m2:")
    line = line.replace("/builds/.gazami", f"{app.parent}/builds").replace("oci:/var/cache/gazami", f"oci:{app.parent}/var-cache")
    line = line.replace("/kaniko/executor ", "python -m gazami.cli.kaniko.executor ").replace(
        "gazami build …", "gazami build . --no-push"
    )
    line = line.replace("< Dockerfile", "< Dockerfile.alone")
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=app, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


@pytest.mark.service
@pytest.mark.parametrize("page", RUN)
def test_a_page(page: str, place: tuple[Path, dict[str, str]]) -> None:
    for line in PREPARED.get(page, ()):
        run(place, line)
    found = carried_out(page)
    assert len(found) >= RUN[page]
    for line in found:
        run(place, line)
        if "gazami logout" in line:
            run(place, 'echo "$PASSWORD" | gazami login -q -u me --password-stdin $HOST')


def test_what_is_left_out_is_there() -> None:
    everything = "\n".join(line for page in RUN for line in lines(page))
    assert not [words for words in LEFT_OUT if words not in everything]
