"""Locks on files, between processes. Whoever waits for one wakes when the build is told to stop."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from gazami.cancel import Cancel

PAUSE = 0.05
"""Seconds between two attempts: flock(2) can be waited for only where nothing else can wake the waiter."""


@contextlib.contextmanager
def locked(paths: tuple[str, ...], cancel: Cancel, *, shared: tuple[str, ...] = ()) -> Iterator[None]:
    """Hold the locks of files (made where they are missing), waiting for others to give them up: ``paths`` alone, ``shared`` with
    others who share them. They are taken in the order of their names.

    A file that was replaced or removed meanwhile is opened again: a lock on a file without a name keeps nobody out. Raises
    :class:`OSError`, and :class:`Cancelled` while it waits.
    """
    with contextlib.ExitStack() as held:
        for path in sorted({*paths, *shared}):
            kind = fcntl.LOCK_EX if path in paths else fcntl.LOCK_SH
            held.callback(os.close, _lock(path, kind, cancel))
        yield


def _lock(path: str, kind: int, cancel: Cancel) -> int:
    while True:
        fd = open_lock(path)
        try:
            while not take(fd, kind):
                cancel.wait(PAUSE)
                cancel.check()
            if is_at(path, fd):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def open_lock(path: str) -> int:
    """A descriptor of a lock's file, which is made where it is missing. Raises :class:`OSError`."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def take(fd: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file if nobody else has; closing it gives the lock up."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(path: str, fd: int) -> bool:
    """Whether an open file is still the one of this name."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(fd))
    return False
