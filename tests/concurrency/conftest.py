from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs import gazami
from tests.roots import busybox_root
from tests.strict_registry import Quirks, StrictRegistry, strict_registry


@pytest.fixture(scope="module")
def registry() -> Iterator[StrictRegistry]:
    """A registry in this process that remembers what it was asked for."""
    with strict_registry(Quirks()) as state:
        yield state


@pytest.fixture(scope="module")
def base(registry: StrictRegistry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base of four layers in the registry: busybox, and three with a file of 3 MiB each."""
    folder = tmp_path_factory.mktemp("base")
    root = busybox_root(folder / "root")
    command = ["tar", "-C", str(root), "--numeric-owner", "--owner=0", "--group=0", "-cf", str(folder / "rootfs.tar"), "."]
    subprocess.run(command, check=True)
    for name in ("one", "two", "three"):
        (folder / name).write_bytes(os.urandom(3 << 20))
    (folder / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\nCOPY one /\nCOPY two /\nCOPY three /\n")
    (folder / ".dockerignore").write_text("root\n")
    reference = f"{registry.host}/base/four:1"
    done = gazami("build", str(folder), "-t", reference, f"--state-dir={folder / 'state'}", "--isolation=chroot")
    assert done.returncode == 0, done.stderr
    return reference


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "file").write_text("a file")
    return folder
