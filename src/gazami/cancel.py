"""One switch that stops a build: set by Ctrl-C or by the first error, looked at between chunks of work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

from gazami.errors import Cancelled


class Cancel:
    """``set`` may be called from any thread or signal handler; ``check`` raises :class:`Cancelled` once it was."""

    __slots__ = ("_cleaning", "_event", "_parts", "_reason")

    def __init__(self) -> None:
        self._event = threading.Event()
        self._reason = "cancelled"
        self._parts: tuple[Cancel, ...] = ()
        self._cleaning: Callable[[], None] | None = None

    def set(self, reason: str = "cancelled") -> None:
        if not self._event.is_set():
            self._reason = reason
            self._event.set()
            for part in self._parts:
                part.set(reason)

    def when_cleaning(self, tell: Callable[[], None]) -> None:
        """Whom to tell when the orderly end of the work has begun."""
        self._cleaning = tell

    def cleaning(self) -> None:
        """The work is over or given up, and what it leaves is about to be removed."""
        if self._cleaning is not None:
            self._cleaning()

    def part(self) -> Cancel:
        """A switch for a part of the work: it is set when this one is, and may be set alone."""
        part = Cancel()
        self._parts = (*self._parts, part)
        if self._event.is_set():
            part.set(self._reason)
        return part

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        if self._event.is_set():
            raise Cancelled(self._reason)

    def checked(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks, with a look at the switch before each."""
        for chunk in chunks:
            self.check()
            yield chunk

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until the switch is set; True when it is."""
        return self._event.wait(seconds)
