"""Programs of npm's that ``scripts/setup services`` and ``scripts/setup containers`` install outside the tree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
MODULES = CACHE / "gazami-services/node_modules"


def installed(name: str, goal: str = "services") -> Path:
    """The program; skips the test where it is not installed."""
    path = MODULES / ".bin" / name
    if not path.exists():
        pytest.skip(f"{name} is not installed: scripts/setup {goal}")
    return path
