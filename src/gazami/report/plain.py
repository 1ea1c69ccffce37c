"""The sink for logs: one line a fact on standard error, RUN output passed through, a heartbeat in long silences.

Events come from several threads and the heartbeat from one more, so one lock guards the story and the streams. A stream
that is closed or full must not end a build: what cannot be written is dropped.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import BinaryIO

from gazami import events
from gazami.errors import GazamiError
from gazami.report.excerpt import failure
from gazami.report.jsonlog import OutputLines
from gazami.report.line import Line, Settings, rfc3339, written
from gazami.report.story import Story
from gazami.values import fast_dataclass, field
from gazami.worker import Worker

_TAIL = 64 * 1024


@fast_dataclass(frozen=True, slots=True)
class Streams:
    stdout: BinaryIO
    stderr: BinaryIO


@fast_dataclass(slots=True)
class _Tail:
    """The last bytes of a step's output, :data:`_TAIL` of them or a little more."""

    pieces: deque[bytes] = field(default_factory=deque)
    size: int = 0

    def add(self, data: bytes) -> None:
        self.pieces.append(data)
        self.size += len(data)
        while self.size > _TAIL and len(self.pieces) > 1:
            self.size -= len(self.pieces.popleft())


class PlainSink:
    """``emit`` takes events; ``fail`` writes the error that ended the build; ``close`` ends the heartbeat."""

    def __init__(
        self,
        settings: Settings,
        streams: Streams,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        heartbeat: bool = True,
    ) -> None:
        self._settings, self._streams = settings, streams
        self._clock, self._wall = clock, wall
        self._start = clock()
        self._lock = threading.Lock()
        self._story = Story()
        self._output = OutputLines()
        self._tails: dict[events.StepId, _Tail] = {}
        self._open_line: BinaryIO | None = None
        self._done = threading.Event()
        self._heart = Worker("heartbeat", self._beat) if heartbeat else None

    def emit(self, event: events.Event) -> None:
        """Print an event. Raises what ended the heartbeat, whose thread is not waited for."""
        if self._heart is not None and self._heart.failure is not None:
            raise self._heart.failure
        with self._lock:
            match event:
                case events.StepOutput():
                    self._run_output(event)
                case events.StepFinished():
                    self._end_output(event.id, failed=False)
                case events.StepFailed():
                    self._end_output(event.id, failed=True)
                case _:
                    pass
            self._write(self._story.tell(event, self._clock()))

    def tick(self) -> None:
        """Say what is due about work in progress."""
        with self._lock:
            self._write(self._story.tick(self._clock()))

    def fail(self, error: GazamiError) -> None:
        line = failure(error, self._settings.failed)
        with self._lock:
            if self._settings.format == "json":
                self._write([line])
            else:
                self._put(self._streams.stderr, f"{line.text}\n".encode("utf-8", "replace"))

    def close(self) -> None:
        self._done.set()

    def _beat(self) -> None:
        while not self._done.wait(1.0):
            self.tick()

    def _write(self, lines: list[Line]) -> None:
        for line in lines:
            if self._settings.shows(line):
                now = self._clock()
                text = written(line, self._settings, now - self._start, rfc3339(self._wall()))
                self._put(self._streams.stderr, text.encode("utf-8", "replace"))

    def _put(self, stream: BinaryIO, data: bytes) -> None:
        """Write a line of our own, not onto the end of a line that a RUN has begun."""
        if self._open_line is not None:
            self._raw(self._open_line, b"\n")
            self._open_line = None
        self._raw(stream, data)

    def _run_output(self, event: events.StepOutput) -> None:
        if self._settings.quiet:
            self._keep(event)
        elif self._settings.format == "json":
            for line in self._output.feed(event):
                self._put(self._streams.stderr, written(line, self._settings, 0, rfc3339(self._wall())).encode())
        else:
            self._pass(event.stream, event.data)

    def _keep(self, event: events.StepOutput) -> None:
        self._tails.setdefault(event.id, _Tail()).add(event.data)

    def _pass(self, stream: str, data: bytes) -> None:
        if data:
            target = self._streams.stdout if stream == "stdout" else self._streams.stderr
            self._raw(target, data)
            self._open_line = None if data.endswith(b"\n") else target

    def _end_output(self, step: events.StepId, *, failed: bool) -> None:
        tail = b"".join(self._tails.pop(step, _Tail()).pieces)
        if failed:
            self._pass("stderr", tail)
        for line in self._output.end(step):
            self._put(self._streams.stderr, written(line, self._settings, 0, rfc3339(self._wall())).encode())

    def _raw(self, stream: BinaryIO, data: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            stream.write(data)
            stream.flush()
