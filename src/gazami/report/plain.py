"""The sink for logs: one line a fact on standard error, RUN output in one of its forms, a heartbeat in long silences.

Events come from several threads and the heartbeat from one more, so one lock guards the story and the streams.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gazami import events
from gazami.errors import Cancelled, GazamiError
from gazami.foreign import printable
from gazami.report.labels import runs
from gazami.report.line import Line, Settings, rfc3339, written
from gazami.report.log_streams import LogStreams, Streams
from gazami.report.story import Story
from gazami.report.summary import kept, shorten
from gazami.values import replace
from gazami.worker import Worker

if TYPE_CHECKING:
    from gazami.report.run_output import RunOutput
    from gazami.report.tail import Tail

_TITLE = 100


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
        self._settings, self._log = settings, LogStreams(streams)
        self._clock, self._wall = clock, wall
        self._start = clock()
        self._lock = threading.Lock()
        self._story = Story("kaniko" if settings.raw or settings.format == "json" else "short")
        self._output: RunOutput | None = None
        self._failed: tuple[str, Tail] | None = None
        self._alone: events.StepId | None = None
        """The step whose output is all that the log has had since the step began."""
        self._done = threading.Event()
        self._heart = Worker("heartbeat", self._beat) if heartbeat else None

    def emit(self, event: events.Event) -> None:
        """Print an event. Raises what ended the heartbeat, whose thread is not waited for."""
        if self._heart is not None and self._heart.failure is not None:
            raise self._heart.failure
        with self._lock:
            now = self._clock()
            lines = self._story.tell(event, now)
            match event:
                case events.StepOutput():
                    self._alone = self._alone if self._alone == event.id else None
                    self._of_runs().feed(event, self._story.seconds(event.id, now), now)
                    return
                case events.StepStarted() if runs(event.text) and not event.cached and self._of_runs().begin(event, now):
                    return
                case events.StepFinished() | events.StepFailed() if self._output is not None:
                    self._end_output(event, self._output.end(event, now))
                case events.Warned() | events.Message() if self._annotates(event):
                    from gazami.report.workflow import warning

                    self._interrupt()
                    self._log.command(warning(event, self._settings.files))
                    return
                case _:
                    pass
            self._write(lines)
            if isinstance(event, events.StepStarted):
                self._alone = event.id

    def tick(self) -> None:
        """Say what is due about work in progress."""
        with self._lock:
            if self._output is not None:
                self._output.tick(self._clock())
            self._write(self._story.tick(self._clock()))

    def fail(self, error: GazamiError) -> None:
        """Write the error, below the last lines of the step that failed."""
        from gazami.report.excerpt import failure

        line = failure(error, self._settings.failed)
        failed = None if isinstance(error, Cancelled) else self._failed
        left = kept(self._story.record) if isinstance(error, Cancelled) and not self._settings.raw else ""
        with self._lock:
            if self._settings.format == "json":
                said = [text for _, text in failed[1].lines] if failed else []
                self._write([replace(line, facts={**line.facts, "output": said}) if said else line])
                return
            self._interrupt()
            tail = failed[1].text(failed[0]) if failed else ""
            self._log.own("\n".join([f"{tail}{line.text}", *([left] if left else []), ""]))
            if self._settings.ci == "github":
                from gazami.report.workflow import annotation

                self._log.command(annotation(error, self._settings.files))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        with self._lock:
            self._interrupt()
            yield

    def close(self) -> None:
        self._done.set()

    def _beat(self) -> None:
        while not self._done.wait(1.0):
            self.tick()

    def _of_runs(self) -> RunOutput:
        """What writes the output of RUN, from the first one on."""
        if self._output is None:
            from gazami.report.run_output import run_output

            self._output = run_output(self._log, self._story.labels, self._settings, self._wall)
        return self._output

    def _end_output(self, event: events.StepFinished | events.StepFailed, tail: Tail) -> None:
        """Keep the last lines of the step that failed, for the end."""
        if isinstance(event, events.StepFailed) and not event.cancelled:
            started = self._story.record.started.get(event.id)
            text = printable(started.text) if started else ""
            just_read = self._alone == event.id and tail.count <= len(tail.lines) and not self._settings.ci
            title = f"{self._story.labels.step(event.id)} {shorten(text, _TITLE)}".strip()
            self._failed = None if just_read and self._settings.format != "json" else (title, tail)

    def _interrupt(self) -> None:
        if self._output is not None:
            self._output.interrupt()

    def _write(self, lines: list[Line]) -> None:
        for line in lines:
            if self._settings.shows(line):
                self._alone = None
                self._interrupt()
                now = self._clock()
                self._log.own(written(line, self._settings, now - self._start, rfc3339(self._wall())))

    def _annotates(self, event: events.Warned | events.Message) -> bool:
        """Whether an event is a warning that GitHub shows beside the lines that it is about, and in the log itself."""
        if self._settings.ci != "github" or self._settings.quiet or self._settings.format == "json":
            return False
        return isinstance(event, events.Warned) or event.level == "warning"
