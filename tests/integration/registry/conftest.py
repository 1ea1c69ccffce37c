"""One plain registry for the tests of this folder; each test uses repositories of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.registry.faults import FaultyRegistry, faulty
from tests.services import Registry, docker_registry

from gazami.registry import upload


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with docker_registry(tmp_path_factory.mktemp("plain")) as running:
        yield running


@pytest.fixture(autouse=True)
def in_pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blobs of a few hundred kilobytes go the way of large ones, which the tests are about, unless a test says otherwise."""
    if "in_one_request" not in request.keywords:
        monkeypatch.setattr(upload, "WHOLE", upload.SMALL)


@pytest.fixture
def faults(registry: Registry) -> Iterator[FaultyRegistry]:
    """A misbehaving way to the plain registry."""
    with faulty(registry.host) as proxy:
        yield proxy


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository name of the test's own."""
    return "t/" + "".join(char if char.isalnum() else "-" for char in request.node.name.lower()).strip("-").replace("--", "-")
