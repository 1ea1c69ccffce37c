"""A registry that wants credentials, sources, and podman as the kubelet."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integrations.kubelet import Kubelet
from tests.podman import Podman
from tests.services import docker_registry

USER, PASSWORD = "robot", "hunter2"
DOCKERFILE = "FROM {base}\nARG A\nCOPY file /file\nRUN cat /file > /made && echo of the step\n"


@dataclass(frozen=True, slots=True)
class Site:
    """What callers find: a private registry, its ``config.json``, and a folder with a Dockerfile."""

    registry: str
    config: str
    sources: Path


@pytest.fixture(scope="session")
def site(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    sources = folder / "sources"
    sources.mkdir()
    (sources / "Dockerfile").write_text(DOCKERFILE.format(base=podman.base))
    (sources / "file").write_text("of the context\n")
    with docker_registry(folder / "registry", htpasswd=((USER, PASSWORD),)) as registry:
        host = f"localhost:{registry.port}"
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        yield Site(host, json.dumps({"auths": {host: {"auth": auth}}}), sources)


@pytest.fixture
def kubelet(podman: Podman, docker_options: list[str], tmp_path: Path) -> Kubelet:
    tmp_path.chmod(0o755)
    return Kubelet(podman, docker_options, tmp_path)
