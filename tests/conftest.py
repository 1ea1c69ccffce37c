"""Options and fixtures of all tests."""

from __future__ import annotations

import os
import resource
import sys

import pytest

os.environ["GAZAMI_LOCAL_CACHE"] = "off"  # builds of tests keep nothing on the machine unless they say so


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="rewrite what golden tests expect")


@pytest.fixture
def accept(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--accept"))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    """pytest clears its folders with shutil.rmtree, which needs a frame and a descriptor for each level of hostile trees that
    are thousands deep."""
    sys.setrecursionlimit(100_000)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
