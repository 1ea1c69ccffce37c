"""What the live view shows: the state of a build, and the rows of the area below the log. Pure.

A row is as wide as the terminal at most. What there is no room for goes in this order: the output of steps, transfers, steps.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from gazami import events
from gazami.foreign import printable
from gazami.report import units
from gazami.report.attributed import shown
from gazami.report.fitting import fitted, right
from gazami.report.labels import Labels
from gazami.report.work_told import image_name
from gazami.values import fast_dataclass, field

Style = Literal["", "head", "running", "waiting", "output", "work", "done", "cached", "cancelled", "failed", "warning"]
Row = tuple[str, Style]

_TAIL_SHOWN = 6
_BAR = 20
_NARROW = 60


@fast_dataclass(slots=True)
class _Step:
    since: float
    text: str = ""
    base: str = ""
    """The image, or another build, that the step waits for, while it does."""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_SHOWN))
    partial: str = ""


@fast_dataclass(slots=True)
class _Transfer:
    """One blob, or a phase (``unit`` of its amount)."""

    what: str
    since: float
    total: int | None = None
    done: int = 0
    unit: str = "bytes"


@fast_dataclass(slots=True)
class View:
    """``needed`` are the stages that are built, None before that is known; of several builds in one view, those of all.
    ``finished`` are the steps that ended well; a build that begins again without the cache ends some twice."""

    labels: Labels = field(default_factory=Labels)
    needed: frozenset[int] | None = None
    finished: set[events.StepId] = field(default_factory=set)
    began: float | None = None
    steps: dict[events.StepId, _Step] = field(default_factory=dict)
    transfers: dict[str, _Transfer] = field(default_factory=dict)
    phases: dict[str, _Transfer] = field(default_factory=dict)
    _moved: dict[str, list[int]] = field(default_factory=dict)
    """Bytes of the finished transfers by what they belong to, while others of it go on."""

    def note(self, event: events.Event, now: float) -> list[Row]:
        """Take an event in; returns what is to scroll up: a step that has ended."""
        self.began = now if self.began is None else self.began
        self.labels.note(event)
        match event:
            case events.StagesNeeded():
                self.needed = (self.needed or frozenset()).union(event.numbers)
            case events.BaseStarted():
                self.steps[event.id] = _Step(now, self.labels.text(event.id), image_name(printable(event.reference)))
            case events.StepWaiting():
                self.steps[event.id] = _Step(now, self.labels.text(event.id), "another build")
            case events.BaseFinished() | events.StepWaited():
                self.steps.pop(event.id, None)
            case events.StepStarted():
                self.steps[event.id] = _Step(now, printable(event.text))
            case events.StepOutput():
                self._output(event)
            case events.StepFinished() | events.StepFailed():
                return self._ended(event)
            case _:
                self._work(event, now)
        return []

    def _output(self, event: events.StepOutput) -> None:
        if (step := self.steps.get(event.id)) is not None:
            *whole, step.partial = (step.partial + event.data.decode("utf-8", "replace")).split("\n")
            step.tail.extend(shown(line) for line in whole[-_TAIL_SHOWN:])
            step.partial = step.partial[-4096:]

    def _ended(self, event: events.StepFinished | events.StepFailed) -> list[Row]:
        step = self.steps.pop(event.id, None)
        label = f"{self.labels.step(event.id)} {step.text if step else ''}".strip()
        if isinstance(event, events.StepFailed):
            return [(f"{label}\t{'cancelled' if event.cancelled else 'failed'}", "cancelled" if event.cancelled else "failed")]
        self.finished.add(event.id)
        if event.cached:
            return [(f"{label}\tcached", "cached")]
        layer = f"  {units.size(event.layer_size)}" if event.layer_size is not None else ""
        return [(f"{label}\t{units.seconds(event.seconds)}{layer}", "done")]

    def _work(self, event: events.Event, now: float) -> None:
        match event:
            case events.TransferStarted():
                what = f"{event.direction} {image_name(printable(event.where))}"
                self.transfers[event.key] = _Transfer(what, now, event.total)
            case events.PhaseStarted():
                self.phases[event.key] = _Transfer(_phase_name(event.what), now, event.total, unit=event.unit)
            case events.TransferProgress() | events.PhaseProgress():
                if (work := self.transfers.get(event.key) or self.phases.get(event.key)) is not None:
                    work.done = event.done
            case events.TransferFinished():
                self._transfer_finished(event)
            case events.PhaseFinished():
                self.phases.pop(event.key, None)
            case _:
                pass

    def _transfer_finished(self, event: events.TransferFinished) -> None:
        work = self.transfers.pop(event.key, None)
        if work is None:
            return
        if any(each.what == work.what for each in self.transfers.values()):
            if event.how == "moved":
                self._moved.setdefault(work.what, []).append(event.size)
        else:
            self._moved.pop(work.what, None)

    # -- rows -----------------------------------------------------------------------------------------------------

    def rows(self, now: float, width: int, height: int) -> list[Row]:
        """The live area, of ``height`` rows at most."""
        head = self._head(now, width)
        work = [*self._transfer_rows(now, width), *self._phase_rows(now, width)]
        steps = sorted(self.steps.items(), key=lambda each: (each[0].stage, each[0].step))
        room = max(1, height - len(head))
        hidden = len(steps) - room if len(steps) > room else 0
        if hidden:
            room -= 1
            steps = steps[:room]
        work = work[: max(0, room - len(steps))]
        spare = room - len(steps) - len(work)
        talking = sum(1 for _, step in steps if step.tail or step.partial)
        each = max(0, min(_TAIL_SHOWN, spare // talking)) if talking else 0
        rows = list(head)
        for identity, step in steps:
            rows.append(self._step_row(identity, step, now, width))
            last = [*step.tail, *([shown(step.partial)] if step.partial else [])]
            rows += [(fitted(f"  │ {line}", width), "output") for line in last[-each:]] if each else []
        if hidden:
            rows.append((fitted(f"and {hidden + 1} more steps", width), "waiting"))
        return [*rows, *work]

    def _head(self, now: float, width: int) -> list[Row]:
        if not self.labels.totals or self.began is None:
            return []
        total = sum(count for stage, count in self.labels.totals.items() if self.needed is None or stage in self.needed)
        return [(fitted(f"[+] {units.seconds(now - self.began)} ({len(self.finished)}/{total})", width), "head")]

    def _step_row(self, identity: events.StepId, step: _Step, now: float, width: int) -> Row:
        text = f"{self.labels.step(identity)} {step.text}".strip()
        time = units.seconds(now - step.since)
        if step.base:
            base = f" for {fitted(step.base, width // 3)}" if width >= _NARROW else ""
            return right(text, f"waiting{base} {time}", width), "waiting"
        return right(text, time, width), "running"

    def _transfer_rows(self, now: float, width: int) -> list[Row]:
        """One row for all layers of an image that move at a time."""
        by_image: dict[str, list[_Transfer]] = {}
        for work in self.transfers.values():
            by_image.setdefault(work.what, []).append(work)
        rows: list[Row] = []
        for what, works in by_image.items():
            before = sum(self._moved.get(what, ()))
            done = sum(work.done for work in works)
            total = sum(work.total or 0 for work in works) if all(work.total for work in works) else None
            rate = done / max(0.001, now - min(work.since for work in works))
            end = _amount(before + done, before + total if total else None, rate, width)
            rows.append((right(f"  {what}", end, width), "work"))
        return rows

    def _phase_rows(self, now: float, width: int) -> list[Row]:
        """One row for all pieces of work of a name."""
        by_name: dict[str, list[_Transfer]] = {}
        for work in self.phases.values():
            by_name.setdefault(work.what, []).append(work)
        rows: list[Row] = []
        for what, works in by_name.items():
            done, since = sum(work.done for work in works), min(work.since for work in works)
            if now - since < 0.3:
                continue  # it would only flicker
            count = f" ({len(works)})" if len(works) > 1 else ""
            amount = units.amount(done, None, works[0].unit) if done else units.seconds(now - since)
            rows.append((right(f"  {what}{count}", amount, width), "work"))
        return rows


def _phase_name(what: str) -> str:
    """Layers are not told apart: their digests say nothing."""
    what = printable(what).rstrip(".")
    return what.rpartition(" layer ")[0] + " layers" if " layer " in what else what


def _amount(done: int, total: int | None, rate: float, width: int) -> str:
    """``████░░░░ 59.8 of 99.5 MB  10.4 MB/s  4s left``, as much of it as there is room for."""
    if total is None:
        return f"{units.size(done)}  {units.size(rate)}/s"
    amount = units.amount(done, total, "bytes")
    if width < _NARROW:
        return f"{min(100, 100 * done // max(1, total))}%"
    left = f"  {units.seconds((total - done) / rate)} left" if rate and total > done else ""
    bar = ""
    if width >= 2 * _NARROW:
        filled = min(_BAR, _BAR * done // max(1, total))
        bar = "█" * filled + "░" * (_BAR - filled) + "  "
    return f"{bar}{amount}  {units.size(rate)}/s{left}"
