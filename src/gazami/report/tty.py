"""The live view of a terminal: what is done scrolls up, what is going on stays below, drawn eight times a second.

``View`` is the state, ``Screen`` the terminal; this sink has the lock over both, and the thread that draws.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from gazami import events
from gazami.errors import Cancelled, GazamiError
from gazami.foreign import printable
from gazami.report.excerpt import failure
from gazami.report.fitting import fitted, folded, right
from gazami.report.line import Line, Settings
from gazami.report.log_streams import Streams
from gazami.report.screen import Screen
from gazami.report.story import Story
from gazami.report.summary import kept, shorten
from gazami.report.tail import Tail, TailReader
from gazami.report.view import Row, Style, View
from gazami.worker import Worker

_PACE = 1 / 8
_STYLES: dict[str, Style] = {"warn": "warning", "error": "failed", "fatal": "failed", "debug": "waiting", "trace": "waiting"}
_SHOWN_LIVE = (
    events.StageStarted, events.StageFinished, events.BaseStarted, events.BaseFinished, events.BaseResolved, events.PlanReady,
    events.StepWaiting, events.StepWaited, events.StepStarted, events.StepFinished, events.StepFailed,
    events.PhaseStarted, events.PhaseFinished,
)  # fmt: skip
"""What the view shows itself."""


class TtySink:
    """The same three calls as ``PlainSink``."""

    def __init__(self, settings: Settings, streams: Streams, *, refresh: bool = True) -> None:
        self._settings, self._screen = settings, Screen(streams.stderr, colored=settings.format == "color")
        self._lock = threading.Lock()
        self._story, self._view, self._tails = Story(), View(), TailReader()
        self._failed: tuple[str, Tail] | None = None
        self._done = threading.Event()
        self._closed = False
        self._drawing = Worker("view", self._refresh) if refresh else None

    def emit(self, event: events.Event) -> None:
        """Show an event. Raises what ended the thread that draws."""
        if self._drawing is not None and self._drawing.failure is not None:
            raise self._drawing.failure
        now = time.monotonic()
        with self._lock:
            if isinstance(event, events.StepOutput):
                self._story.tell(event, now)
                self._tails.add(event, self._story.seconds(event.id, now))
                self._view.note(event, now)
                return
            if isinstance(event, events.StepFinished | events.StepFailed):
                self._keep_tail(event)
            lines = self._story.tell(event, now)
            width = self._screen.size()[0] - 1
            above = [_ended(row, width) for row in self._view.note(event, now)]
            if not isinstance(event, _SHOWN_LIVE):
                above += [row for line in lines if self._settings.shows(line) for row in _rows(line, width)]
            if above:
                self._draw(above)

    def fail(self, error: GazamiError) -> None:
        """Write the error below everything, and nothing after it."""
        self.close()
        line = failure(error, self._settings.failed)
        failed = None if isinstance(error, Cancelled) else self._failed
        left = kept(self._story.record) if isinstance(error, Cancelled) else ""
        text = (failed[1].text(failed[0]) if failed else "") + line.text + (f"\n{left}" if left else "")
        with self._lock:
            self._screen.draw((), [(each, _style_of(each, line)) for each in text.split("\n")])

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The area is away, and the cursor shown."""
        with self._lock:
            self._screen.close()
            yield

    def close(self) -> None:
        self._done.set()
        with self._lock:
            if not self._closed:
                self._closed = True
                self._screen.close()

    def draw(self) -> None:
        """Show how things are now."""
        with self._lock:
            if not self._closed:
                self._draw(())

    def _draw(self, above: list[Row] | tuple[()]) -> None:
        width, height = self._screen.size()
        rows = () if self._closed else self._view.rows(time.monotonic(), width - 1, max(2, height - 2))
        self._screen.draw(rows, above)

    def _keep_tail(self, event: events.StepFinished | events.StepFailed) -> None:
        tail = self._tails.take(event.id, event.seconds)
        if isinstance(event, events.StepFailed) and not event.cancelled:
            started = self._story.record.started.get(event.id)
            text = shorten(printable(started.text), self._screen.size()[0] // 2) if started else ""
            self._failed = (f"{self._story.labels.step(event.id)} {text}".strip(), tail)

    def _refresh(self) -> None:
        while not self._done.wait(_PACE):
            self.draw()


def _ended(row: Row, width: int) -> Row:
    text, _, end = row[0].partition("\t")
    return right(text, end, width), row[1]


def _rows(line: Line, width: int) -> list[Row]:
    """Warnings are read whole, everything else is one line each."""
    style = _STYLES.get(line.severity, "")
    if line.severity in ("warn", "error"):
        return [(each, style) for each in folded(line.text, width)]
    if line.brief == "Build finished":
        return [(each, "head") for each in folded(line.text, width)]
    return [(fitted(each, width), style) for each in line.text.split("\n")]


def _style_of(text: str, line: Line) -> Style:
    """The sentence of an error is red, the lines of the Dockerfile are not."""
    return "failed" if line.brief and line.brief.split("\n")[0] in text and "| " not in text else ""
