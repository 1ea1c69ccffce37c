"""Leases in a directory cache: a lock on a file for each key that is being made. The lock of a builder that dies is free at once.

Who has made the layer removes the file before he gives the lock up; who has failed writes that into it first, so that those who
waited for him need not wait for each other as well.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gazami.cache.keys import Key
from gazami.cache.lease import Acquired
from gazami.cancel import Cancel
from gazami.file_locks import PAUSE, is_at, open_lock, take
from gazami.values import fast_dataclass

T = TypeVar("T")
_FAILED = b"failed"


class DirectoryLeases:
    """``folder`` is the cache's; ``bound`` is how long a step waits, in seconds. ``cancel`` tells which switch wakes the calling
    thread."""

    def __init__(self, folder: Path, bound: float, cancel: Callable[[], Cancel]) -> None:
        self._folder, self._bound, self._cancel = folder / ".leases", bound, cancel

    def acquire(self, key: Key, look_up: Callable[[], T | None], waiting: Callable[[], None]) -> Acquired[T]:
        """Raises :class:`OSError` where there can be no locks."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path, until, waited = str(self._folder / key), time.monotonic() + self._bound, False
        while True:
            fd = open_lock(path)
            try:
                while not take(fd):
                    if not waited:
                        waited = True
                        waiting()
                    if time.monotonic() >= until:
                        return Acquired(look_up(), late=True)
                    self._cancel().wait(PAUSE)
                    self._cancel().check()
                there, failed = is_at(path, fd), os.pread(fd, len(_FAILED), 0) == _FAILED
                if (found := look_up()) is not None:
                    if there:
                        os.unlink(path)
                    return Acquired(found)
                if there:
                    os.ftruncate(fd, 0)
                    held, fd = _Held(path, fd), -1
                    return Acquired(held=held)
                if failed and waited:
                    return Acquired()
                if time.monotonic() >= until:  # somebody puts another file there each time
                    return Acquired(late=True)
            finally:
                if fd >= 0:
                    os.close(fd)

    def close(self) -> None:
        """Nothing is written in the background."""


@fast_dataclass(slots=True)
class _Held:
    path: str
    fd: int

    def release(self, *, stored: bool) -> None:
        fd, self.fd = self.fd, -1
        if fd < 0:
            return
        try:
            if not stored:
                os.pwrite(fd, _FAILED, 0)
            os.unlink(self.path)
        except OSError:
            pass  # whoever gets the lock looks for the entry
        finally:
            os.close(fd)
