"""The live view of a terminal: what is done scrolls up, what is going on stays below with times, bars and last output.

``View`` is the state (pure, like ``story``); ``TtySink`` draws it with rich, eight times a second. rich calls ``_render`` under its
own lock, so never print while the view's lock is held.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from gazami import events
from gazami.errors import GazamiError
from gazami.foreign import printable
from gazami.report import units
from gazami.report.excerpt import failure
from gazami.report.line import Line, Settings
from gazami.report.story import Story
from gazami.report.summary import shorten
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_TAIL_SHOWN = 6
_TAIL_KEPT = 200
_BARS = 6
_BAR_WIDTH = 20
_STYLES = {"warn": "yellow", "error": "red", "debug": "dim", "trace": "dim"}
_SHOWN_LIVE = (events.StepStarted, events.StepFinished, events.PhaseStarted, events.PhaseFinished)


@fast_dataclass(slots=True)
class _Row:
    text: str
    since: float
    done: int = 0
    total: int | None = None
    unit: str = "bytes"
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_KEPT))
    partial: str = ""


@fast_dataclass(slots=True)
class View:
    """What is going on right now."""

    steps: dict[events.StepId, _Row] = field(default_factory=dict)
    work: dict[str, _Row] = field(default_factory=dict)

    def note(self, event: events.Event, now: float) -> list[str]:
        """Take an event in; returns what is to scroll up: a finished step, or the kept output of one that failed."""
        match event:
            case events.StepStarted():
                self.steps[event.id] = _Row(f"[{event.id.step}/{event.total}] {printable(event.text)}", now)
            case events.StepOutput() if row := self.steps.get(event.id):
                *whole, row.partial = (row.partial + event.data.decode("utf-8", "replace")).split("\n")
                row.tail.extend(printable(line.rstrip("\r").rpartition("\r")[2]) for line in whole)
                row.partial = row.partial[-4096:]
            case events.StepFinished():
                row = self.steps.pop(event.id, None)
                return [_finished(row, event)] if row else []
            case events.StepFailed():
                row = self.steps.pop(event.id, None)
                return [*row.tail, *([printable(row.partial)] if row.partial else [])] if row else []
            case events.TransferStarted():
                word = "pull" if event.direction == "pull" else "push"
                self.work[event.key] = _Row(f"{word} {event.what}", now, total=event.total)
            case events.PhaseStarted():
                self.work[event.key] = _Row(event.what.rstrip("."), now, total=event.total, unit=event.unit)
            case events.TransferProgress() | events.PhaseProgress() if row := self.work.get(event.key):
                row.done = event.done
            case events.TransferFinished() | events.PhaseFinished():
                self.work.pop(event.key, None)
            case _:
                pass
        return []

    def rows(self, now: float, width: int) -> list[tuple[str, str]]:
        """``(text, style)`` of each line of the live area."""
        rows: list[tuple[str, str]] = []
        for row in self.steps.values():
            rows.append((_right(row.text, units.seconds(now - row.since), width), "bold"))
            last = [*row.tail, *([printable(row.partial)] if row.partial else [])][-_TAIL_SHOWN:]
            rows.extend((f"  │ {shorten(line, width - 5)}", "dim") for line in last)
        for row in list(self.work.values())[:_BARS]:
            rows.append((_right(f"  {row.text}", _progress(row, now), width), "cyan"))
        if (more := len(self.work) - _BARS) > 0:
            rows.append((f"  and {more} more", "cyan"))
        return rows


def _finished(row: _Row, event: events.StepFinished) -> str:
    layer = f", layer {units.size(event.layer_size)}" if event.layer_size is not None else ""
    return f"{row.text}  ({'cached' if event.cached else units.seconds(event.seconds)}{layer})"


def _right(text: str, end: str, width: int) -> str:
    room = max(10, width - len(end) - 2)
    return f"{shorten(text.strip(), room - 2) if text.startswith('  ') else shorten(text, room):<{room}} {end}"


def _progress(row: _Row, now: float) -> str:
    elapsed = now - row.since
    if not row.done:
        return units.seconds(elapsed)
    rate = row.done / max(0.001, elapsed)
    speed = f"{units.size(rate)}/s" if row.unit == "bytes" else f"{units.number(int(rate))}/s"
    bar = ""
    if row.total:
        filled = min(_BAR_WIDTH, _BAR_WIDTH * row.done // row.total)
        bar = "█" * filled + "░" * (_BAR_WIDTH - filled) + " "
    return f"{bar}{units.amount(row.done, row.total, row.unit)} {speed}"


class TtySink:
    """The same three calls as ``PlainSink``."""

    def __init__(self, settings: Settings, console: Console) -> None:
        from rich.live import Live

        self._settings, self._console = settings, console
        self._lock = threading.Lock()
        self._story, self._view = Story(), View()
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def emit(self, event: events.Event) -> None:
        now = time.monotonic()
        with self._lock:
            lines = self._story.tell(event, now)
            tail = self._view.note(event, now)
        self._print([Line("info", text) for text in tail])
        if not isinstance(event, _SHOWN_LIVE):
            self._print([line for line in lines if self._settings.shows(line)])

    def fail(self, error: GazamiError) -> None:
        self.close()
        self._print([failure(error, self._settings.failed)])

    def close(self) -> None:
        self._live.stop()

    def _print(self, lines: list[Line]) -> None:
        from rich.text import Text

        for line in lines:
            self._console.print(Text(line.text, style=_STYLES.get(line.severity, "")), soft_wrap=True)

    def _render(self) -> Text:
        from rich.text import Text

        width = self._console.width
        with self._lock:
            rows = self._view.rows(time.monotonic(), width)
        height = max(3, self._console.height - 2)
        return Text("\n").join(Text(text, style=style, no_wrap=True, overflow="ellipsis") for text, style in rows[-height:])
