"""Attacks on the sandbox in every mode that this machine has. Each has a control: the same attack where nothing protects."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.sandbox.bench import CHOICES, Bench
from tests.roots import busybox_root

from gazami.cancel import Cancel
from gazami.sandbox.client import Sandbox


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.root)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The static programs of this folder, by their names."""
    folder = tmp_path_factory.mktemp("programs")
    for source in Path(__file__).parent.glob("programs/*.c"):
        command = ["gcc", "-O2", "-static", "-pthread", "-o", str(folder / source.stem), str(source)]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Path:
    root = busybox_root(tmp_path_factory.mktemp("base"))
    root.chmod(0o755)
    for program in programs.iterdir():
        target = root / "bin" / program.name
        target.write_bytes(program.read_bytes())
        target.chmod(0o755)
    return root


@pytest.fixture(scope="module", params=list(CHOICES))
def mode(request: pytest.FixtureRequest, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A sandbox in each mode; what a container's root in place adds is tested in tests/container."""
    cancel, place = Cancel(), tmp_path_factory.mktemp("state")
    with Sandbox.start(CHOICES[request.param], cancel, preload=("gazami.rootfs.unpack",)) as sandbox:
        yield Bench(sandbox, cancel, base, place)
