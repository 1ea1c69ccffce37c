"""Events → log lines: what is worth saying, and when. No I/O and no clock: the time comes in as an argument.

The wording keeps what scripts look for in kaniko's log where the same fact exists ("Retrieving image manifest …", "Taking snapshot
…", "Pushed …@sha256:…"). ``tick`` reports work in progress at a measured pace, so that a long phase is never silent and a fast one
never noisy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, assert_never

from gazami import events
from gazami.foreign import printable, printable_lines
from gazami.report import units
from gazami.report.line import Line, Severity
from gazami.report.summary import Record, facts, summary
from gazami.values import fast_dataclass, field

TRANSFER_PACE = 5.0
SILENCE = 10.0
NOTICEABLE = 1.0
_ALWAYS_TOLD = ("taking snapshot", "unpacking rootfs")


@fast_dataclass(slots=True)
class _Work:
    """A phase, a step or a transfer that is going on."""

    what: str
    since: float
    told: float
    announced: bool = True
    done: int = 0
    total: int | None = None
    unit: str = ""


@fast_dataclass(slots=True)
class Story:
    """The state that turns facts into sentences. Not thread-safe: the sink has the lock."""

    record: Record = field(default_factory=Record)
    _phases: dict[str, _Work] = field(default_factory=dict)
    _steps: dict[events.StepId, _Work] = field(default_factory=dict)
    _transfers: dict[str, _Work] = field(default_factory=dict)
    _moved: dict[str, tuple[int, int]] = field(default_factory=lambda: {"pull": (0, 0), "push": (0, 0)})
    _paced: float = 0.0

    def tell(self, event: events.Event, now: float) -> list[Line]:
        """The lines that an event gives at once; ``now`` in seconds of any steady clock."""
        self.record.note(event)
        match event:
            case (
                events.StageStarted()
                | events.StageFinished()
                | events.StepStarted()
                | events.StepOutput()
                | events.StepFinished()
                | events.StepFailed()
            ):
                return self._step(event, now)
            case events.TransferStarted() | events.TransferProgress() | events.TransferFinished():
                return self._transfer(event, now)
            case events.PhaseStarted() | events.PhaseProgress() | events.PhaseFinished():
                return self._phase(event, now)
            case events.BuildFinished():
                text = "Build finished\n" + summary(self.record)
                return [Line("info", text, facts(self.record), brief="Build finished")]
            case _:
                return _plainly(event)

    def tick(self, now: float) -> list[Line]:
        """What to say about work that has been going on without news; call about once a second."""
        return [*self._transfer_news(now), *self._heartbeats(now)]

    def _step(self, event: events.Event, now: float) -> list[Line]:
        match event:
            case events.StageStarted():
                name = event.name or str(event.stage)
                text = f"Building stage '{name}' [idx: '{event.stage}', base: '{event.base}', steps: {event.steps}]"
                return [Line("info", text, {"stage": event.stage})]
            case events.StageFinished():
                return [Line("debug", f"Stage {event.stage} finished in {units.seconds(event.seconds)}")]
            case events.StepStarted():
                name = self.record.names.get(event.id.stage, "") if len(self.record.names) > 1 else ""
                label = f"[{name + ' ' if name else ''}{event.id.step}/{event.total}]"
                self._steps[event.id] = _Work(label, now, now)
                return [Line("info", f"{label} {printable(event.text)}", _place(event.id))]
            case events.StepOutput() if work := self._steps.get(event.id):
                work.told = now
            case events.StepFinished():
                work = self._steps.pop(event.id, None)
                return [_finished(event, work.what if work else "", self.record)]
            case events.StepFailed():
                work = self._steps.pop(event.id, None)
                text = f"{work.what if work else ''} failed after {units.seconds(event.seconds)}"
                members = {**_place(event.id), "seconds": round(event.seconds, 3), "reason": event.message}
                return [Line("error", text.strip(), members)]
            case _:
                pass
        return []

    def _transfer(self, event: events.Event, now: float) -> list[Line]:
        match event:
            case events.TransferStarted():
                what = f"{'Pulling' if event.direction == 'pull' else 'Pushing'} {event.what}"
                if not self._transfers:
                    self._paced = now
                self._transfers[event.key] = _Work(what, now, now, total=event.total, unit=event.direction)
                return [Line("debug", f"{what}, {event.where}" + (f", {units.size(event.total)}" if event.total else ""))]
            case events.TransferProgress() if work := self._transfers.get(event.key):
                work.done = event.done
            case events.TransferFinished():
                work = self._transfers.pop(event.key, None)
                if work is None:
                    return []
                count, moved = self._moved[work.unit]
                self._moved[work.unit] = (count + 1, moved + (event.size if event.how == "moved" else 0))
                words = {"moved": "done", "mounted": "mounted from another repository", "exists": "is there already"}
                time = f" in {units.seconds(event.seconds)}" if event.how == "moved" else ""
                severity: Severity = "warn" if event.how == "failed" else "debug"
                return [Line(severity, f"{work.what}: {words.get(event.how, 'failed')}{time}, {units.size(event.size)}")]
            case _:
                pass
        return []

    def _phase(self, event: events.Event, now: float) -> list[Line]:
        match event:
            case events.PhaseStarted():
                what = event.what[:1].upper() + event.what[1:]
                loud = what.lower().startswith(_ALWAYS_TOLD)
                self._phases[event.key] = _Work(what, now, now, loud, total=event.total, unit=event.unit)
                return [Line("info" if loud else "debug", _dotted(what))]
            case events.PhaseProgress() if work := self._phases.get(event.key):
                work.done = event.done
            case events.PhaseFinished():
                work = self._phases.pop(event.key, None)
                if work is None:
                    return []
                severity: Severity = "info" if event.seconds >= NOTICEABLE else "debug"
                how = "failed after" if event.failed else "done in"
                text = f"{work.what.rstrip('.')}: {how} {units.seconds(event.seconds)}"
                return [Line(severity, text, {"seconds": round(event.seconds, 3)})]
            case _:
                pass
        return []

    def _transfer_news(self, now: float) -> list[Line]:
        """One line for all transfers of a direction, since a line for each of many layers says nothing."""
        if not self._transfers or now - self._paced < TRANSFER_PACE:
            return []
        self._paced = now
        lines: list[Line] = []
        for direction, word in (("pull", "Pulling"), ("push", "Pushing")):
            running = [work for work in self._transfers.values() if work.unit == direction]
            if not running:
                continue
            done = sum(work.done for work in running)
            total = sum(work.total or work.done for work in running)
            rate = done / max(0.001, now - min(work.since for work in running))
            finished = self._moved[direction][0]
            text = (
                f"{word} {_count(len(running), 'layer')} ({finished} finished): {units.size(done)} of {units.size(total)}, "
                f"{units.size(rate)}/s"
            )
            lines.append(Line("info", text))
            for work in running:
                work.told = now
        return lines

    def _heartbeats(self, now: float) -> list[Line]:
        lines: list[Line] = []
        for work in self._phases.values():
            if not work.announced and now - work.since >= NOTICEABLE:
                work.announced, work.told = True, now
                lines.append(Line("info", _dotted(work.what)))
            elif now - work.told >= SILENCE:
                work.told = now
                so_far = f"{units.amount(work.done, work.total, work.unit)}, " if work.done else ""
                what = f"Still {work.what[:1].lower()}{work.what[1:].rstrip('.')}"
                lines.append(Line("info", f"{what}: {so_far}{units.seconds(now - work.since)}"))
        busy = bool(self._phases or self._transfers)
        for work in self._steps.values():
            if not busy and now - work.told >= 3 * SILENCE:
                work.told = now
                lines.append(Line("info", f"{work.what} still running: {units.seconds(now - work.since)}"))
        return lines


def _dotted(what: str) -> str:
    return what if what.endswith("...") else f"{what}..."


def _finished(event: events.StepFinished, label: str, record: Record) -> Line:
    place = {**_place(event.id), "seconds": round(event.seconds, 3), "cached": event.cached}
    if event.layer_size is not None:
        place["layer_size"] = event.layer_size
    if event.cached:
        started = record.started.get(event.id)
        return Line("info", f"Using caching version of cmd: {printable(started.text) if started else label}", place)
    text = f"{label} done in {units.seconds(event.seconds)}"
    if event.layer_size is not None:
        text += f", layer {units.size(event.layer_size)}"
    if event.files is not None:
        text += f", {units.number(event.files)} {'file' if event.files == 1 else 'files'}"
    quick = event.layer_size is None and event.seconds < 0.5
    return Line("debug" if quick else "info", text.strip(), place)


def _place(step: events.StepId) -> dict[str, object]:
    return {"stage": step.stage, "step": step.step}


_Plain = (
    events.Message
    | events.Warned
    | events.SandboxChosen
    | events.BaseResolved
    | events.PlanReady
    | events.CacheChecked
    | events.Exported
)


def _plainly(event: _Plain) -> list[Line]:
    """Events that are one line, independent of earlier ones."""
    match event:
        case events.Message():
            return [Line("warn" if event.level == "warning" else event.level, event.text)]
        case events.Warned():
            place = f" (line {event.span.start})" if event.span else ""
            rule = f"{event.rule}: " if event.rule else ""
            hint = f"\nhint: {event.hint}" if event.hint else ""
            members = {"rule": event.rule, "line": event.span.start if event.span else None}
            return [Line("warn", f"{rule}{event.text}{place}{hint}", {k: v for k, v in members.items() if v is not None})]
        case events.SandboxChosen():
            return [Line("info", f"RUN steps are isolated by {event.mode}: {event.reason}", {"mode": event.mode})]
        case events.BaseResolved():
            members = {"reference": event.reference, "digest": event.digest}
            return [Line("info", f"Retrieving image manifest {event.reference} ({event.digest})", members)]
        case events.PlanReady():
            steps = sum(len(texts) for _, _, texts in event.stages)
            listed = "".join(f"\n[{name or index}] {text}" for index, name, texts in event.stages for text in texts)
            head = f"Building {_count(len(event.stages), 'stage')}, {_count(steps, 'step')}"
            return [Line("info", head), *([Line("debug", "Plan:" + printable_lines(listed))] if listed else [])]
        case events.CacheChecked():
            text = f"Cache {event.where}: {event.found} of {_count(event.asked, 'step')} found"
            return [Line("info", text, {"where": event.where, "asked": event.asked, "found": event.found})]
        case events.Exported():
            return [_exported(event)]
        case _:
            assert_never(event)


def _exported(event: events.Exported) -> Line:
    verbs: dict[Literal["image", "index", "docker-archive", "oci-layout", "files", "file", "loaded"], Callable[[], str]] = {
        "image": lambda: f"Pushed {_by_digest(event.where, event.digest)}",
        "index": lambda: f"Pushed the index {_by_digest(event.where, event.digest)}",
        "docker-archive": lambda: f"Wrote the docker archive {event.where}",
        "oci-layout": lambda: f"Wrote the OCI layout {event.where}",
        "files": lambda: f"Wrote the image's files to {'standard output' if event.where == '-' else event.where}",
        "file": lambda: f"Wrote {event.where}",
        "loaded": lambda: f"Loaded {event.where}",
    }
    return Line("info", verbs[event.kind](), {"kind": event.kind, "where": event.where, "digest": event.digest})


def _by_digest(where: str, digest: str) -> str:
    """``registry/app:1.0`` → ``registry/app@sha256:…``, as kaniko logs a push."""
    name = where.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return f"{head}{slash}{tail.partition(':')[0]}@{digest}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
