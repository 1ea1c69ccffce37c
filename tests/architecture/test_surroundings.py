"""Tests say the same wherever they run: in a CI's job, under a user's settings, on a terminal that wants color."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

HOSTILE = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_STEP_SUMMARY": "/nonexistent/summary",
    "GITLAB_CI": "true",
    "CI_PROJECT_DIR": "/nonexistent",
    "FORCE_COLOR": "1",
    "NO_COLOR": "1",
    "COLUMNS": "20",
    "SOURCE_DATE_EPOCH": "1",
    "GAZAMI_NO_CACHE": "true",
    "GAZAMI_LOCAL_CACHE": "/nonexistent",
    "KANIKO_DIR": "/nonexistent",
    "DOCKER_CONFIG": "/nonexistent",
    "DOCKER_HOST": "tcp://127.0.0.1:1",
    "REGISTRY_AUTH_FILE": "/nonexistent",
    "AWS_PROFILE": "none",
    "AZURE_STORAGE_ACCOUNT": "none",
}


def test_what_changes_a_build_does_not_reach_the_tests() -> None:
    shown = "import os, tests.conftest; print({name: os.environ.get(name) for name in " + repr(list(HOSTILE)) + "})"
    done = subprocess.run(
        [sys.executable, "-c", shown], env={**os.environ, **HOSTILE}, cwd=Path(__file__).parents[2], capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert ast.literal_eval(done.stdout) == {name: "off" if name == "GAZAMI_LOCAL_CACHE" else None for name in HOSTILE}
