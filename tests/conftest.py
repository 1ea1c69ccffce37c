"""Options and fixtures of all tests."""

from __future__ import annotations

import os
import resource
import sys

import pytest

from tests.podman import debian, docker_options, docker_seccomp, executor, podman

__all__ = ["debian", "docker_options", "docker_seccomp", "executor", "podman"]

_OURS = "GAZAMI_FUZZ_"
_CHANGE_A_BUILD = (
    "BUILDKIT_", "BUILDX_", "CI_", "DOCKER_", "GAZAMI_", "GITHUB_", "GITLAB_", "KANIKO_", "RUNNER_", "AWS_", "AZURE_", "GCE_",
)  # fmt: skip
for _name in list(os.environ):  # a test says itself which variables it is about, wherever the tests run
    if _name.startswith(_CHANGE_A_BUILD) and not _name.startswith(_OURS):
        del os.environ[_name]
for _name in ("CI", "FORCE_COLOR", "NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "SOURCE_DATE_EPOCH", "REGISTRY_AUTH_FILE", "PLATFORM"):
    os.environ.pop(_name, None)
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
