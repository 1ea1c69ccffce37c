from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.commandline.conftest import busybox, context, host
from tests.kubernetes_api import Cluster, kubernetes

__all__ = ["busybox", "context", "host"]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with kubernetes(tmp_path / "cluster") as found:
        yield found
