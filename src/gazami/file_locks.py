"""Locks on files, between processes. Whoever waits for one wakes when the build is told to stop."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from gazami.cancel import Cancel

_PAUSE = 0.05
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
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            while not _take(fd, kind):
                cancel.wait(_PAUSE)
                cancel.check()
            if _is_at(path, fd):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _take(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: str, fd: int) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(fd))
    return False
