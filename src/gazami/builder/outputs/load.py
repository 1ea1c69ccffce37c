"""An image into the store of docker or podman on this machine: an archive through a pipe into their ``load``."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterable

from gazami.cancel import Cancel
from gazami.errors import HostError

_SHOWN = 500
"""Characters of what the program says."""


def load(program: str, chunks: Iterable[bytes], cancel: Cancel) -> None:
    """Raises :class:`HostError` with what the program says, and :class:`Cancelled`; the program does not outlive this."""
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen([program, "load"], stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT)
        except OSError as cause:
            raise HostError(f"--load: cannot run {program}: {cause.strerror}") from cause
        with cancel.on_set(process.kill):
            try:
                assert process.stdin is not None
                with contextlib.suppress(BrokenPipeError), process.stdin:  # it has said why it reads no more
                    for chunk in chunks:
                        cancel.check()
                        process.stdin.write(chunk)
                process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    process.wait()
        cancel.check()
        if process.returncode:
            said.seek(0)
            text = said.read().decode("utf-8", "replace").strip()[-_SHOWN:]
            raise HostError(
                f"--load: {program} load failed with status {process.returncode}: {text}",
                hint=f"does {program} work here? Otherwise write a file: --tar-path FILE",
            )
