"""The last lines of what steps print, for the end of a build that one of them ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from gazami.events import StepId, StepOutput
from gazami.report.attributed import shown
from gazami.report.jsonlog import WholeLines
from gazami.values import fast_dataclass, field

SHOWN = 20


@fast_dataclass(slots=True)
class Tails:
    """``lines`` of each running step, with the seconds when they came."""

    _lines: dict[StepId, deque[tuple[float, bytes]]] = field(default_factory=dict)
    _counts: dict[StepId, int] = field(default_factory=dict)

    def add(self, step: StepId, lines: Sequence[bytes], seconds: float) -> None:
        if lines:
            tail = self._lines.setdefault(step, deque(maxlen=SHOWN))
            tail.extend((seconds, line) for line in lines[-SHOWN:])
            self._counts[step] = self._counts.get(step, 0) + len(lines)

    def take(self, step: StepId) -> Tail:
        """The end of what a step printed; it is forgotten."""
        lines = tuple((seconds, shown(line.decode("utf-8", "replace"))) for seconds, line in self._lines.pop(step, ()))
        return Tail(lines, self._counts.pop(step, 0))


@fast_dataclass(frozen=True, slots=True)
class Tail:
    """``lines`` with the seconds since the step began; ``count`` is how many lines the step printed in all."""

    lines: tuple[tuple[float, str], ...] = ()
    count: int = 0

    def text(self, title: str) -> str:
        """For the terminal, with a head; empty without any line."""
        if not self.lines:
            return ""
        left_out = self.count - len(self.lines)
        head = f"{title} printed{f' at last, after {left_out} lines' if left_out else ''}:"
        width = max(len(f"{seconds:.1f}") for seconds, _ in self.lines)
        return "\n".join([head, *(f"  {seconds:{width}.1f}s │ {line}".rstrip() for seconds, line in self.lines)]) + "\n"


class TailReader:
    """The same for a display that has no lines of its own: takes the events of output as they are."""

    def __init__(self) -> None:
        self.tails, self._lines = Tails(), WholeLines()

    def add(self, event: StepOutput, seconds: float) -> None:
        self.tails.add(event.id, self._lines.feed(event), seconds)

    def take(self, step: StepId, seconds: float) -> Tail:
        self.tails.add(step, [line for _, line in self._lines.end(step)], seconds)
        return self.tails.take(step)
