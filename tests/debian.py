"""A Debian root filesystem for tests that need the real thing, made once by mmdebstrap and kept outside the tree."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

RECIPE = ("mmdebstrap", "--variant=minbase", "--mode=root", "--include=ca-certificates", "bookworm")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gazami-demo"


def debian_rootfs() -> Path:
    """The tar, the same one that the demo uses. Takes about a minute the first time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(" ".join(RECIPE).encode()).hexdigest()[:16]
    tar = CACHE / f"debian-bookworm-{name}.tar"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tar.exists():
            part = tar.with_suffix(".part.tar")
            subprocess.run(
                [*RECIPE, str(part)], check=True, capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
            )
            part.rename(tar)
    return tar
