"""An image into the store of docker or podman on this machine, by their ``load``."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from gazami.cancel import Cancel
from gazami.errors import HostError

_PAUSE = 0.1
_SHOWN = 500
"""Characters of what the program says."""


def load(program: str, write: Callable[[Path], None], archive: Path, cancel: Cancel) -> None:
    """``write`` makes the archive, which is removed afterwards. Raises :class:`HostError` with what the program says."""
    try:
        write(archive)
        _run(program, archive, cancel)
    finally:
        archive.unlink(missing_ok=True)


def _run(program: str, archive: Path, cancel: Cancel) -> None:
    with archive.open("rb") as file:
        try:
            process = subprocess.Popen([program, "load"], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except OSError as cause:
            raise HostError(f"--load: cannot run {program}: {cause.strerror}") from cause
        said = b""
        try:
            while True:
                cancel.check()
                try:
                    said = process.communicate(timeout=_PAUSE)[0]
                    break
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
    if process.returncode:
        text = said.decode("utf-8", "replace").strip()[-_SHOWN:]
        raise HostError(
            f"--load: {program} load failed with status {process.returncode}: {text}",
            hint=f"does {program} work here? Otherwise write a file: --tar-path FILE",
        )
