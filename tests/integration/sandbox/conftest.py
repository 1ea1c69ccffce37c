from __future__ import annotations

import os
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
            item.add_marker(pytest.mark.sandbox)
            item.add_marker(pytest.mark.root)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = busybox_root(tmp_path_factory.mktemp("busybox"))
    root.chmod(0o755)
    return root


@pytest.fixture(scope="module", params=["namespaces", "userns", "userns-shared-proc", "userns-single", "chroot", "chroot-shared"])
def any_mode(request: pytest.FixtureRequest, busybox: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    yield from _bench(request.param, busybox, tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module", params=["namespaces", "userns"])
def mounting(request: pytest.FixtureRequest, busybox: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The modes that mount."""
    yield from _bench(request.param, busybox, tmp_path_factory.mktemp("state"))


@pytest.fixture(params=["namespaces", "chroot"])
def fresh(request: pytest.FixtureRequest, busybox: Path, tmp_path: Path) -> Iterator[Bench]:
    """A sandbox that the test may break."""
    yield from _bench(request.param, busybox, tmp_path)


def _bench(mode: str, busybox: Path, place: Path) -> Iterator[Bench]:
    cancel = Cancel()
    with Sandbox.start(CHOICES[mode], cancel) as sandbox:
        yield Bench(sandbox, cancel, busybox, place)
