"""Programs that ``scripts/setup services`` installs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def installed(name: str) -> Path:
    """The program; skips the test where it is not installed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache / "gazami-services/node_modules/.bin" / name
    if not path.exists():
        pytest.skip(f"{name} is not installed: scripts/setup services")
    return path
