"""Events → log lines: what is worth saying, and when. No I/O and no clock: the time comes in as an argument.

Two styles. ``kaniko`` has a line for everything that kaniko's log has one for, and a table at the end: scripts and programs read
it. ``short`` is for people who read a job's page: a cached step is a number, a copy is one line, the end is one line. ``tick``
reports work in progress at a measured pace, so that a long phase is never silent and a fast one never noisy.
"""

from __future__ import annotations

from typing import Literal

from gazami import events
from gazami.foreign import printable
from gazami.report import units
from gazami.report.facts_told import told_plainly
from gazami.report.labels import Labels, runs, works
from gazami.report.line import Line, Severity
from gazami.report.summary import Record, ending, facts, summary
from gazami.report.work_told import NOTICEABLE, SILENCE, Work, WorkTold
from gazami.values import fast_dataclass, field

Style = Literal["short", "kaniko"]

_QUICK = 0.5
_OTHER = "another build"
_WAITED = {
    "found": "the other build made it",
    "took over": "the other build is gone, making it here",
    "failed": "the other build failed, making it here",
    "late": "the other build takes too long, making it here",
}


@fast_dataclass(slots=True)
class Story:
    """The state that turns facts into sentences. Not thread-safe: the sink has the lock."""

    style: Style = "short"
    record: Record = field(default_factory=Record)
    labels: Labels = field(default_factory=Labels)
    _work: WorkTold = field(default_factory=WorkTold)
    _steps: dict[events.StepId, Work] = field(default_factory=dict)
    _cached: dict[int, int] = field(default_factory=dict)
    """How many cached steps of a stage were not told yet."""

    def tell(self, event: events.Event, now: float) -> list[Line]:
        """The lines that an event gives at once; ``now`` in seconds of any steady clock."""
        self.record.note(event)
        self.labels.note(event)
        match event:
            case events.StepOutput():
                if work := self._steps.get(event.id):
                    work.told = now
                return []
            case events.StageStarted() | events.StageFinished() | events.BaseStarted() | events.BaseFinished():
                return self._stage(event, now)
            case events.StepWaiting() | events.StepWaited():
                return self._waiting(event, now)
            case events.StepStarted() | events.StepFinished() | events.StepFailed():
                return self._step(event, now)
            case events.TransferStarted() | events.TransferProgress() | events.TransferFinished():
                return self._work.transfer(event, now)
            case events.PhaseStarted() | events.PhaseProgress() | events.PhaseFinished():
                return self._work.phase(event, now)
            case events.BuildFinished():
                return self._end()
            case _:
                return told_plainly(event)

    def tick(self, now: float) -> list[Line]:
        """What to say about work that has been going on without news; call about once a second."""
        return [*self._step_news(now), *self._work.news(now), *self._heartbeats(now)]

    def seconds(self, step: events.StepId, now: float) -> float:
        """Since a running step began; 0 for one that does not run."""
        work = self._steps.get(step)
        return now - work.since if work is not None else 0.0

    # -- stages ---------------------------------------------------------------------------------------------------

    def _stage(
        self, event: events.StageStarted | events.StageFinished | events.BaseStarted | events.BaseFinished, now: float
    ) -> list[Line]:
        match event:
            case events.StageStarted():
                name = event.name or str(event.stage)
                text = f"Building stage '{name}' [idx: '{event.stage}', base: '{event.base}', steps: {event.steps}]"
                return [Line("info" if self.style == "kaniko" else "debug", text, {"stage": event.stage})]
            case events.StageFinished():
                text = f"Stage {event.stage} finished in {units.seconds(event.seconds)}"
                return [*self._cached_steps(event.stage), Line("debug", text)]
            case events.BaseStarted():
                what = f"{self.labels.stage(event.id.stage)} base {printable(event.reference)}".strip()
                self._steps[event.id] = Work(f"{what}: pulling and unpacking", now, now, announced=False, where="base")
                return self._cached_steps(event.id.stage)
            case events.BaseFinished():
                work = self._steps.pop(event.id, None)
                what = work.what.removesuffix(": pulling and unpacking") if work else "base"
                severity: Severity = "info" if event.seconds >= NOTICEABLE and not event.failed else "debug"
                how = "failed after" if event.failed else "ready in"
                members = {"stage": event.id.stage, "seconds": round(event.seconds, 3)}
                return [Line(severity, f"{what} {how} {units.seconds(event.seconds)}", members)]

    def _cached_steps(self, stage: int) -> list[Line]:
        count = self._cached.pop(stage, 0)
        if not count:
            return []
        text = f"{self.labels.stage(stage)} {count} {'step' if count == 1 else 'steps'} cached".strip()
        return [Line("info", text, {"stage": stage})]

    def _waiting(self, event: events.StepWaiting | events.StepWaited, now: float) -> list[Line]:
        label = self.labels.step(event.id)
        if isinstance(event, events.StepWaiting):
            what = f"{label} waiting for another build of this step"
            self._steps[event.id] = Work(what, now, now, where=_OTHER)
            return [*self._cached_steps(event.id.stage), Line("info", f"{what}: {printable(event.text)}", _place(event.id))]
        self._steps.pop(event.id, None)
        text = f"{label} waited {units.seconds(event.seconds)}: {_WAITED[event.how]}"
        return [Line("info", text, {**_place(event.id), "seconds": round(event.seconds, 3), "how": event.how})]

    # -- steps ----------------------------------------------------------------------------------------------------

    def _step(self, event: events.StepStarted | events.StepFinished | events.StepFailed, now: float) -> list[Line]:
        match event:
            case events.StepStarted():
                return self._step_started(event, now)
            case events.StepFinished():
                return self._step_finished(event, self._steps.pop(event.id, None))
            case events.StepFailed():
                self._steps.pop(event.id, None)
                how = "cancelled" if event.cancelled else "failed"
                text = f"{self.labels.step(event.id)} {how} after {units.seconds(event.seconds)}"
                members = {**_place(event.id), "seconds": round(event.seconds, 3), "reason": event.message}
                return [Line("info" if event.cancelled else "error", text, members, muted=event.cancelled)]

    def _step_started(self, event: events.StepStarted, now: float) -> list[Line]:
        label, text = self.labels.step(event.id), printable(event.text)
        line = Line("info", f"{label} {text}", _place(event.id))
        if self.style == "kaniko":
            self._steps[event.id] = Work(label, now, now)
            return [line]
        if event.cached:
            return []
        told = [*self._cached_steps(event.id.stage)]
        if runs(event.text):
            self._steps[event.id] = Work(label, now, now)
            return [*told, line]
        if works(event.text):  # told when it is done, or when that takes long
            self._steps[event.id] = Work(line.text, now, now, announced=False)
            return told
        return [*told, Line("debug", line.text, line.facts)]

    def _step_finished(self, event: events.StepFinished, work: Work | None) -> list[Line]:
        place = {**_place(event.id), "seconds": round(event.seconds, 3), "cached": event.cached}
        if event.layer_size is not None:
            place["layer_size"] = event.layer_size
        if event.cached:
            return [self._using_cache(event, place)]
        label, time = self.labels.step(event.id), units.seconds(event.seconds)
        held = work is not None and not work.announced
        text = f"{work.what}: {time}" if work is not None and held else f"{label} done in {time}"
        if event.layer_size is not None:
            text += f", layer {units.size(event.layer_size)}"
        if event.files is not None:
            text += f", {units.number(event.files)} {'file' if event.files == 1 else 'files'}"
        quick = not held and event.layer_size is None and event.seconds < _QUICK
        return [Line("debug" if quick else "info", text, place)]

    def _using_cache(self, event: events.StepFinished, place: dict[str, object]) -> Line:
        started = self.record.started.get(event.id)
        text = printable(started.text) if started else self.labels.step(event.id)
        if self.style == "short":
            self._cached[event.id.stage] = self._cached.get(event.id.stage, 0) + 1
        return Line("info" if self.style == "kaniko" else "debug", f"Using caching version of cmd: {text}", place)

    def _step_news(self, now: float) -> list[Line]:
        """The beginnings that were held back of what takes long."""
        lines: list[Line] = []
        for step, work in self._steps.items():
            if not work.announced and now - work.since >= NOTICEABLE:
                work.announced, work.told = True, now
                lines.append(Line("info", work.what, _place(step)))
                work.what = work.what.removesuffix(": pulling and unpacking")
        return lines

    def _heartbeats(self, now: float) -> list[Line]:
        lines: list[Line] = []
        for step, work in self._steps.items():
            if not self._work.is_busy and now - work.told >= 3 * SILENCE:
                work.told = now
                what = work.what if work.where else self.labels.step(step)
                still = "" if work.where == _OTHER else " still running"
                lines.append(Line("info", f"{what}{still}: {units.seconds(now - work.since)}"))
        return lines

    def _end(self) -> list[Line]:
        told = [line for stage in sorted(self._cached) for line in self._cached_steps(stage)]
        if self.style == "kaniko":
            return [Line("info", "Build finished\n" + summary(self.record), facts(self.record), brief="Build finished")]
        table = Line("debug", "Steps\n" + summary(self.record)) if self.record.finished else None
        return [*told, *([table] if table else []), Line("info", ending(self.record), facts(self.record), brief="Build finished")]


def _place(step: events.StepId) -> dict[str, object]:
    return {"stage": step.stage, "step": step.step}
