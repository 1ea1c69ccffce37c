"""Pipes between the builder and its programs."""

from __future__ import annotations

import contextlib
import fcntl
import os

CHUNK = 1 << 20


def pipe() -> tuple[int, int]:
    """The two ends of a pipe that holds a whole chunk, so that they wake each other once for that and not sixteen times. What the
    system refuses to a user who has many pipes stays as small as it was."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, CHUNK)
    return reader, writer
