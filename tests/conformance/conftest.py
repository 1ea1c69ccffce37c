from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.conformance.bases import Bases
from tests.services import docker_registry


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bases]:
    folder = tmp_path_factory.mktemp("bases")
    with docker_registry(folder / "registry") as registry:
        made = Bases(f"localhost:{registry.port}", folder / "store", folder / "work")
        yield made
        subprocess.run(["rm", "-rf", str(made.store), str(made.store) + "-run"], check=False)
