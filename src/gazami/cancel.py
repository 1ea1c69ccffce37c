"""One switch that stops a build: set by Ctrl-C or by the first error. It is looked at between chunks of work, and it wakes whoever
waits: for a registry, for a command, for a lock, for another thread."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType

from gazami.errors import Cancelled


class Cancel:
    """``set`` may be called from any thread; ``check`` raises :class:`Cancelled` once it was."""

    __slots__ = ("_callbacks", "_cleaning", "_event", "_lock", "_numbers", "_reason")

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.RLock()
        self._reason = "cancelled"
        self._numbers = itertools.count()
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._cleaning: Callable[[], None] | None = None

    def set(self, reason: str = "cancelled") -> None:
        """Set the switch and wake all who wait. Returns when they have been woken."""
        with self._lock:
            if self._event.is_set():
                return
            self._reason = reason
            self._event.set()
            for callback in list(self._callbacks.values()):
                _call(callback)

    def on_set(self, callback: Callable[[], object]) -> _Registration:
        """A context in which ``callback`` is called once if the switch is set, at once where it is set already.

        It is called in the thread that sets the switch, has to be quick, and is not running any more when the context is left. It
        may take a lock that no one holds while it enters or leaves such a context.
        """
        return _Registration(self, callback)

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
        self._add(lambda: part.set(self._reason))
        return part

    @property
    def reason(self) -> str:
        """Why it was set."""
        return self._reason

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

    def _add(self, callback: Callable[[], object]) -> int:
        with self._lock:
            number = next(self._numbers)
            self._callbacks[number] = callback
            if self._event.is_set():
                _call(callback)
            return number

    def _remove(self, number: int) -> None:
        with self._lock:
            self._callbacks.pop(number, None)


class _Registration:
    """What :meth:`Cancel.on_set` returns."""

    __slots__ = ("_callback", "_cancel", "_number")

    def __init__(self, cancel: Cancel, callback: Callable[[], object]) -> None:
        self._cancel, self._callback = cancel, callback
        self._number = -1

    def __enter__(self) -> None:
        self._number = self._cancel._add(self._callback)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._cancel._remove(self._number)


def _call(callback: Callable[[], object]) -> None:
    with contextlib.suppress(OSError):  # what it would wake is gone already, and the others are to be woken
        callback()
