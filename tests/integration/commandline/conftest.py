from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs import gazami
from tests.roots import busybox_root
from tests.services import docker_registry


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry on loopback."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield f"localhost:{registry.port}"


@pytest.fixture(scope="session")
def busybox(host: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A busybox base in the registry, made by gazami."""
    folder = tmp_path_factory.mktemp("busybox")
    root = busybox_root(folder / "root")
    subprocess.run(
        ["tar", "-C", str(root), "--numeric-owner", "--owner=0", "--group=0", "-cf", str(folder / "rootfs.tar"), "."], check=True
    )
    (folder / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\n")
    (folder / ".dockerignore").write_text("root\n")
    reference = f"{host}/base/busybox:1"
    done = gazami("build", str(folder), "-t", reference, f"--state-dir={folder / 'state'}")
    assert done.returncode == 0, done.stderr
    return reference


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    return folder
