"""What happened when: the events of a build with the times at which they came, for the report of ``--report``.

Events say how long something took, and come when it begins or ends; so a sink that looks at a clock knows when it was. How far a
transfer has come is let go, and what RUN prints but for the end of it. Pure but for the lock; the clock is an argument.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gazami import events
from gazami.errors import GazamiError
from gazami.report.job_summary import JobSummary
from gazami.values import fast_dataclass, field

TAIL = 8 * 1024
"""Bytes that are kept of what a step prints, for the case that it fails."""

NOTICEABLE = 0.001
"""Seconds; what takes less is no look into a cache."""

MOST = 5000
"""Transfers, phases and warnings that are kept of each."""


@fast_dataclass(slots=True)
class Period:
    """A piece of work: ``begun`` and ``seconds`` count from the begin of the build; None while it goes on."""

    begun: float
    seconds: float | None = None
    how: str = ""


@fast_dataclass(slots=True)
class StepTold:
    """What is known of a step. ``base`` is the time in which it waited for the files that its stage begins with."""

    span: Period
    started: events.StepStarted | None = None
    ended: events.StepFinished | events.StepFailed | None = None
    base: Period | None = None
    waited: Period | None = None
    """The time in which it waited for another build that was making it; ``how`` as the event has it."""
    looked_up: Period | None = None
    snapshot: Period | None = None
    """The time in which its layer was read and compressed, a part of ``span``."""
    output: bytes = b""


@fast_dataclass(slots=True)
class Timeline:
    """Call :meth:`note` with each event, from any thread."""

    clock: Callable[[], float] = time.monotonic
    summary: JobSummary = field(default_factory=JobSummary)
    plan: tuple[tuple[int, str, tuple[str, ...]], ...] = ()
    needed: tuple[int, ...] | None = None
    looked_up: Period | None = None
    """When the cache was asked for all steps at once."""
    stages: dict[int, tuple[events.StageStarted, Period]] = field(default_factory=dict)
    steps: dict[events.StepId, StepTold] = field(default_factory=dict)
    transfers: dict[str, list[tuple[events.TransferStarted, Period, int]]] = field(default_factory=dict)
    phases: list[tuple[events.PhaseStarted, Period]] = field(default_factory=list)
    facts: list[events.Event] = field(default_factory=list)
    """Those without a time of their own: the isolation, bases, the look-up in the cache, warnings, the image."""
    _began: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        self._began = self.clock()

    @property
    def now(self) -> float:
        """Seconds since :meth:`begin`."""
        return self.clock() - self._began

    def note(self, event: events.Event) -> None:
        with self._lock:
            self.summary.note(event)
            now = self.now
            match event:
                case events.PlanReady():
                    self.plan = event.stages
                case events.StagesNeeded():
                    self.needed = tuple(sorted({*(self.needed or ()), *event.numbers}))
                case events.StageStarted():
                    self.stages[event.stage] = event, Period(now)
                case events.StageFinished() if event.stage in self.stages:
                    self.stages[event.stage][1].seconds = event.seconds
                case events.TransferStarted() | events.TransferFinished():
                    self._transfer(event, now)
                case events.PhaseStarted() | events.PhaseFinished():
                    self._phase(event, now)
                case events.CacheChecked():
                    self.looked_up = Period(max(0.0, now - event.seconds), event.seconds)
                    self._keep(event)
                case events.Warned() | events.SandboxChosen() | events.BaseResolved() | events.ImageMade():
                    self._keep(event)
                case events.Message() if event.level == "warning":
                    self._keep(event)
                case _:
                    self._step(event, now)

    def _keep(self, event: events.Event) -> None:
        if len(self.facts) < MOST:
            self.facts.append(event)

    def _step(self, event: events.Event, now: float) -> None:
        match event:
            case events.BaseStarted():
                self._told(event.id, now).base = Period(now)
            case events.BaseFinished():
                told = self._told(event.id, now)
                told.base = Period(now - event.seconds, event.seconds, "failed" if event.failed else "")
            case events.StepWaiting():
                self._told(event.id, now).waited = Period(now)
            case events.StepWaited():
                self._told(event.id, now).waited = Period(now - event.seconds, event.seconds, event.how)
            case events.StepStarted():
                told = self._told(event.id, now)
                told.started, told.span = event, Period(now)
                if event.looked_up >= NOTICEABLE:
                    before = told.base.begun if told.base is not None else now
                    told.looked_up = Period(max(0.0, before - event.looked_up), event.looked_up)
            case events.StepOutput():
                told = self._told(event.id, now)
                told.output = (told.output + event.data[-TAIL:])[-TAIL:]
            case events.StepFinished() | events.StepFailed():
                told = self._told(event.id, now)
                told.output = b"" if isinstance(event, events.StepFinished) else told.output
                told.ended, told.span.seconds = event, max(0.0, now - told.span.begun)
            case _:
                pass

    def _told(self, step: events.StepId, now: float) -> StepTold:
        return self.steps.setdefault(step, StepTold(Period(now)))

    def _transfer(self, event: events.TransferStarted | events.TransferFinished, now: float) -> None:
        """A transfer that is tried again has the same key."""
        known = self.transfers.setdefault(event.key, [])
        if isinstance(event, events.TransferStarted):
            if len(self.transfers) <= MOST and len(known) < MOST:
                known.append((event, Period(now), event.total or 0))
        elif known and known[-1][1].seconds is None:
            started, span, _ = known[-1]
            span.seconds, span.how = event.seconds, event.how
            known[-1] = started, span, event.size

    def _phase(self, event: events.PhaseStarted | events.PhaseFinished, now: float) -> None:
        if isinstance(event, events.PhaseStarted):
            span = Period(now)
            if event.step is not None:
                self._told(event.step, now).snapshot = span
            if len(self.phases) < MOST:
                self.phases.append((event, span))
            return
        for started, span in reversed(self.phases):
            if started.key == event.key and span.seconds is None:
                span.seconds, span.how = event.seconds, "failed" if event.failed else ""
                return


def listening(
    timeline: Timeline, errors: list[GazamiError], emit: events.Emit, note_error: Callable[[GazamiError], None]
) -> tuple[events.Emit, Callable[[GazamiError], None]]:
    """Begin a timeline: what to call with each event and with the error of the build, so that it, and ``errors``, hear of them
    too."""
    timeline.begin()

    def noted(event: events.Event) -> None:
        timeline.note(event)
        emit(event)

    def noted_error(error: GazamiError) -> None:
        errors.append(error)
        note_error(error)

    return noted, noted_error
