"""Running gazami as users do: another process, its own environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def gazami(
    *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run the command line with a clean environment (PATH, HOME, what Python itself is told, and what ``env`` adds)."""
    clean = {
        key: os.environ[key]
        for key in ("PATH", "HOME", "LANG", "PYTHONPATH", "PYTHONDEVMODE", "GAZAMI_LOCAL_CACHE")
        if key in os.environ
    }
    return subprocess.run(
        [sys.executable, "-m", "gazami", *arguments],
        cwd=cwd,
        env={**clean, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
