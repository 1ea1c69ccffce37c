"""Which program of this machine takes an image for ``--load``: docker, where its daemon answers, else podman."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

from gazami.errors import UsageError

_PATIENCE = 10.0
"""Seconds that a daemon may take to answer."""


def find_loader(environ: Mapping[str, str]) -> str:
    """The path of the program. Raises :class:`UsageError` with what docker says where nothing works."""
    said = "there is neither docker nor podman here"
    for name in ("docker", "podman"):
        if (path := shutil.which(name, path=environ.get("PATH"))) is None:
            continue
        try:
            done = subprocess.run([path, "version"], capture_output=True, text=True, timeout=_PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired) as cause:
            said = f"{name} version: {type(cause).__name__}"
            continue
        if done.returncode == 0:
            return path
        said = f"{name}: {(done.stderr.strip() or 'it does not work here').splitlines()[-1]}"
    raise UsageError(f"--load: {said}", hint="write the image to a file: --tar-path FILE")
