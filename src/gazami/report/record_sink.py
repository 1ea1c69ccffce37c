"""The sink of ``--log-format=events``: every event as a record on standard error, for a gazami that follows from elsewhere.

Progress is thinned out and long outputs are cut into pieces, since a log keeps what it gets; no event is lost otherwise. The reader
decides what to show.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from gazami import events
from gazami.errors import GazamiError
from gazami.report.records import encode, encode_failure
from gazami.values import replace

PACE = 0.5
"""Seconds between two pieces of news of one transfer or phase."""

PIECE = 8 * 1024
"""Bytes of a RUN's output in one record: container runtimes cut lines at 16 KiB."""


class RecordSink:
    """The three calls of every sink; ``emit`` may be called from any thread."""

    def __init__(self, stream: BinaryIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._lock = threading.Lock()
        self._number = 0
        self._told: dict[str, float] = {}

    def emit(self, event: events.Event) -> None:
        with self._lock:
            match event:
                case events.TransferProgress() | events.PhaseProgress():
                    now = self._clock()
                    if now - self._told.get(event.key, 0.0) < PACE:
                        return
                    self._told[event.key] = now
                case events.TransferFinished() | events.PhaseFinished():
                    self._told.pop(event.key, None)
                case events.StepOutput():
                    for start in range(0, len(event.data), PIECE):
                        self._write(encode(replace(event, data=event.data[start : start + PIECE]), self._next()))
                    return
                case _:
                    pass
            self._write(encode(event, self._next()))

    def fail(self, error: GazamiError) -> None:
        with self._lock:
            self._write(encode_failure(error, self._next()))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        with self._lock:
            yield

    def close(self) -> None:
        """Nothing is held back."""

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _write(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{line}\n".encode())
            self._stream.flush()
