"""An iterator that is run in a thread of its own, a few items ahead of its reader."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator

from gazami.worker import Worker

AHEAD = 8
"""Items: chunks of at most about 1 MiB."""


class Ahead:
    """Runs an iterator in a thread, at most :data:`AHEAD` chunks ahead of its reader, so that fetching, inflating and hashing go on
    beside the reader's own work."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source
        self._queue: queue.Queue[bytes | None] = queue.Queue(AHEAD)
        self._stopped = threading.Event()
        self._worker = Worker("ahead", self._run)

    def chunks(self) -> Iterator[bytes]:
        """The iterator's chunks. Raises what it raised, at the chunk where that came."""
        try:
            while (item := self._queue.get()) is not None:
                yield item
            self._worker.result()
        finally:
            self.stop()

    def stop(self) -> None:
        self._stopped.set()
        while self._worker.is_running:  # it may wait for room in the queue
            with contextlib.suppress(queue.Empty):
                self._queue.get(timeout=0.02)
        self._worker.join()

    def _run(self) -> None:
        try:
            with contextlib.closing(self._source) as source:  # type: ignore[type-var]
                for chunk in source:
                    if self._stopped.is_set():
                        return
                    self._queue.put(chunk)
        finally:
            self._queue.put(None)
