"""Streams of layers that were begun before anybody asked for them, each by a name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING

from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from gazami.ahead import Ahead


@fast_dataclass(slots=True)
class Begun:
    """Several threads use it. Whoever takes a stream owns it; :meth:`close` stops those that nobody took."""

    _waiting: dict[Hashable, Ahead] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def begin(self, name: Hashable, source: Callable[[], Iterator[bytes]]) -> None:
        """Begin a stream, unless one of this name waits already."""
        with self._lock:
            if name not in self._waiting and not self._closed:
                self._waiting[name] = _ahead(source)

    def take(self, name: Hashable, source: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        """The chunks of the stream that waits, or of one that begins now."""
        with self._lock:
            waiting = self._waiting.pop(name, None)
        return (waiting or _ahead(source)).chunks()

    def close(self) -> None:
        """Stop what was begun and not taken; nothing is begun any more."""
        with self._lock:
            self._closed = True
            waiting = list(self._waiting.values())
            self._waiting.clear()
        for each in waiting:
            each.stop()


def _ahead(source: Callable[[], Iterator[bytes]]) -> Ahead:
    from gazami.ahead import Ahead  # with queues and threads: not every build reads a layer

    return Ahead(source())
