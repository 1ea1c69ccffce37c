"""Room for so many at a time. Whoever waits for it wakes when it is told to stop."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from gazami.cancel import Cancel


class Slots:
    def __init__(self, count: int) -> None:
        self._left = count
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def one(self, cancel: Cancel) -> Iterator[None]:
        """Hold one of them. Raises :class:`Cancelled` while it waits."""
        with cancel.on_set(self._wake), self._changed:
            self._changed.wait_for(lambda: self._left > 0 or cancel.is_set)
            cancel.check()
            self._left -= 1
        try:
            yield
        finally:
            with self._changed:
                self._left += 1
                self._changed.notify()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
