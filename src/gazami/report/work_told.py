"""Transfers and phases as lines: what began, what ended, and at a measured pace how far it is. Pure."""

from __future__ import annotations

from gazami import events
from gazami.report import units
from gazami.report.line import Line, Severity
from gazami.values import fast_dataclass, field

TRANSFER_PACE = 5.0
SILENCE = 10.0
NOTICEABLE = 1.0
_ALWAYS_TOLD = ("taking snapshot", "unpacking rootfs")


@fast_dataclass(slots=True)
class Work:
    """A phase, a step or a transfer that is going on; ``told`` is when something was last said of it."""

    what: str
    since: float
    told: float
    announced: bool = True
    done: int = 0
    total: int | None = None
    unit: str = ""
    where: str = ""


@fast_dataclass(slots=True)
class WorkTold:
    """What is going on besides steps."""

    phases: dict[str, Work] = field(default_factory=dict)
    transfers: dict[str, Work] = field(default_factory=dict)
    _finished: dict[str, int] = field(default_factory=lambda: {"pull": 0, "push": 0})
    _paced: float = 0.0

    @property
    def is_busy(self) -> bool:
        return bool(self.phases or self.transfers)

    def transfer(self, event: events.TransferStarted | events.TransferProgress | events.TransferFinished, now: float) -> list[Line]:
        match event:
            case events.TransferStarted():
                what = f"{'Pulling' if event.direction == 'pull' else 'Pushing'} {event.what}"
                if not self.transfers:
                    self._paced = now
                self.transfers[event.key] = Work(
                    what, now, now, total=event.total, unit=event.direction, where=image_name(event.where)
                )
                return [Line("debug", f"{what}, {event.where}" + (f", {units.size(event.total)}" if event.total else ""))]
            case events.TransferProgress():
                if work := self.transfers.get(event.key):
                    work.done = event.done
                return []
            case events.TransferFinished():
                work = self.transfers.pop(event.key, None)
                if work is None:
                    return []
                self._finished[work.unit] += 1
                words = {"moved": "done", "mounted": "mounted from another repository", "exists": "is there already"}
                time = f" in {units.seconds(event.seconds)}" if event.how == "moved" else ""
                severity: Severity = "warn" if event.how == "failed" else "debug"
                how = words.get(event.how, event.how)
                return [Line(severity, f"{work.what}: {how}{time}, {units.size(event.size)}")]

    def phase(self, event: events.PhaseStarted | events.PhaseProgress | events.PhaseFinished, now: float) -> list[Line]:
        match event:
            case events.PhaseStarted():
                what = event.what[:1].upper() + event.what[1:]
                loud = what.lower().startswith(_ALWAYS_TOLD)
                self.phases[event.key] = Work(what, now, now, loud, total=event.total, unit=event.unit)
                return [Line("info" if loud else "debug", _dotted(what))]
            case events.PhaseProgress():
                if work := self.phases.get(event.key):
                    work.done = event.done
                return []
            case events.PhaseFinished():
                work = self.phases.pop(event.key, None)
                if work is None:
                    return []
                severity: Severity = "info" if event.seconds >= NOTICEABLE and not event.failed else "debug"
                how = "failed after" if event.failed else "done in"
                text = f"{work.what.rstrip('.')}: {how} {units.seconds(event.seconds)}"
                return [Line(severity, text, {"seconds": round(event.seconds, 3)})]

    def news(self, now: float) -> list[Line]:
        """What is due: a line for the transfers of a direction, and one for each phase that has been silent."""
        return [*self._transfer_news(now), *self._phase_news(now)]

    def _transfer_news(self, now: float) -> list[Line]:
        if not self.transfers or now - self._paced < TRANSFER_PACE:
            return []
        self._paced = now
        lines: list[Line] = []
        for direction, word in (("pull", "Pulling"), ("push", "Pushing")):
            running = [work for work in self.transfers.values() if work.unit == direction]
            if running:
                lines.append(Line("info", f"{word} {_how_far(running, self._finished[direction], now)}"))
            for work in running:
                work.told = now
        return lines

    def _phase_news(self, now: float) -> list[Line]:
        lines: list[Line] = []
        for work in self.phases.values():
            if not work.announced and now - work.since >= NOTICEABLE:
                work.announced, work.told = True, now
                lines.append(Line("info", _dotted(work.what)))
            elif now - work.told >= SILENCE:
                work.told = now
                so_far = f"{units.amount(work.done, work.total, work.unit)}, " if work.done else ""
                what = f"Still {work.what[:1].lower()}{work.what[1:].rstrip('.')}"
                lines.append(Line("info", f"{what}: {so_far}{units.seconds(now - work.since)}"))
        return lines


def _how_far(running: list[Work], finished: int, now: float) -> str:
    """``debian (2 layers, 1 finished): 59.8 MB of 99.5 MB, 10.4 MB/s, about 4s left``."""
    done = sum(work.done for work in running)
    total = sum(work.total or work.done for work in running)
    rate = done / max(0.001, now - min(work.since for work in running))
    names = ", ".join(dict.fromkeys(work.where for work in running if work.where))
    layers = f"{len(running)} {'layer' if len(running) == 1 else 'layers'}, {finished} finished"
    left = f", about {units.seconds((total - done) / rate)} left" if rate and total > done else ""
    return f"{names} ({layers}): {units.size(done)} of {units.size(total)}, {units.size(rate)}/s{left}".strip()


def image_name(repository: str) -> str:
    """A repository as people call it: Docker Hub's official images by their last word."""
    for prefix in ("index.docker.io/library/", "docker.io/library/", "index.docker.io/", "docker.io/"):
        repository = repository.removeprefix(prefix)
    return repository


def _dotted(what: str) -> str:
    return what if what.endswith("...") else f"{what}..."
