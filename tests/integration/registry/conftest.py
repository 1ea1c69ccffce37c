"""One plain registry for the tests of this folder; each test uses repositories of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.registry.faults import FaultyRegistry, faulty
from tests.services import Registry, docker_registry


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with docker_registry(tmp_path_factory.mktemp("plain")) as running:
        yield running


@pytest.fixture
def faults(registry: Registry) -> Iterator[FaultyRegistry]:
    """A misbehaving way to the plain registry."""
    with faulty(registry.host) as proxy:
        yield proxy


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository name of the test's own."""
    return "t/" + "".join(char if char.isalnum() else "-" for char in request.node.name.lower()).strip("-").replace("--", "-")
