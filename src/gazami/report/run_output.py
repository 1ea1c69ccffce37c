"""What RUN prints, in the log's form: as it is, as lines with their step's name (in sections where the CI system folds them), as
JSON, or not at all unless the step fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from gazami.events import StepFailed, StepFinished, StepId, StepOutput, StepStarted
from gazami.foreign import printable
from gazami.report.attributed import attributed
from gazami.report.floor import Floor, Said
from gazami.report.jsonlog import WholeLines, output_as_json
from gazami.report.labels import Labels, runs
from gazami.report.line import Settings, rfc3339
from gazami.report.log_streams import LogStreams
from gazami.report.tail import Tail, Tails
from gazami.report.workflow import section_end, section_start
from gazami.values import fast_dataclass, field

_KEPT = 64 * 1024


class RunOutput(Protocol):
    """``seconds`` are since the step began, ``now`` of any steady clock. Nothing here is thread-safe: the sink has the lock."""

    def begin(self, event: StepStarted, now: float) -> bool:
        """Whether the step's first line is written here."""
        ...

    def feed(self, event: StepOutput, seconds: float, now: float) -> None: ...

    def end(self, event: StepFinished | StepFailed, now: float) -> Tail:
        """The step has ended: its last lines, for the end of a build that it failed."""
        ...

    def tick(self, now: float) -> None: ...

    def interrupt(self) -> None:
        """A line that is no RUN's comes next."""
        ...


@fast_dataclass(slots=True)
class AsItIs:
    """The bytes of both streams, unchanged: kaniko's way."""

    log: LogStreams

    def begin(self, event: StepStarted, now: float) -> bool:
        return False

    def feed(self, event: StepOutput, seconds: float, now: float) -> None:
        self.log.foreign(event.stream, event.data)

    def end(self, event: StepFinished | StepFailed, now: float) -> Tail:
        return Tail()

    def tick(self, now: float) -> None:
        """Nothing is held back."""

    def interrupt(self) -> None:
        """Lines that a RUN left open are ended by the streams."""


@fast_dataclass(slots=True)
class OfFailures:
    """Nothing, until a step fails: then the last 64 KiB of its output (``--quiet``)."""

    log: LogStreams
    _kept: dict[StepId, deque[bytes]] = field(default_factory=dict)
    _sizes: dict[StepId, int] = field(default_factory=dict)

    def begin(self, event: StepStarted, now: float) -> bool:
        return False

    def feed(self, event: StepOutput, seconds: float, now: float) -> None:
        pieces = self._kept.setdefault(event.id, deque())
        pieces.append(event.data)
        size = self._sizes.get(event.id, 0) + len(event.data)
        while size > _KEPT and len(pieces) > 1:
            size -= len(pieces.popleft())
        self._sizes[event.id] = size

    def end(self, event: StepFinished | StepFailed, now: float) -> Tail:
        kept = b"".join(self._kept.pop(event.id, ()))
        self._sizes.pop(event.id, None)
        if isinstance(event, StepFailed) and not event.cancelled:
            self.log.foreign("stderr", kept)
        return Tail()

    def tick(self, now: float) -> None:
        """Nothing is due."""

    def interrupt(self) -> None:
        """Nothing is open."""


@fast_dataclass(slots=True)
class AsJSON:
    """One object a line."""

    log: LogStreams
    wall: Callable[[], float]
    _lines: WholeLines = field(default_factory=WholeLines)
    _tails: Tails = field(default_factory=Tails)

    def begin(self, event: StepStarted, now: float) -> bool:
        return False

    def feed(self, event: StepOutput, seconds: float, now: float) -> None:
        lines = self._lines.feed(event)
        self._tails.add(event.id, lines, seconds)
        self.log.own(output_as_json(lines, event.id, event.stream, rfc3339(self.wall())))

    def end(self, event: StepFinished | StepFailed, now: float) -> Tail:
        for stream, line in self._lines.end(event.id):
            self._tails.add(event.id, [line], event.seconds)
            self.log.own(output_as_json([line], event.id, stream, rfc3339(self.wall())))
        return self._tails.take(event.id)

    def tick(self, now: float) -> None:
        """Nothing is held back."""

    def interrupt(self) -> None:
        """Nothing is open."""


@fast_dataclass(slots=True)
class WithNames:
    """Whole lines that begin with ``[stage n/m] seconds │``; in GitHub's and GitLab's logs a section for each step."""

    log: LogStreams
    labels: Labels
    settings: Settings
    wall: Callable[[], float]
    _lines: WholeLines = field(default_factory=WholeLines)
    _tails: Tails = field(default_factory=Tails)
    _floor: Floor = field(default_factory=Floor)
    _titles: dict[StepId, str] = field(default_factory=dict)
    _section: tuple[StepId, str] | None = None
    """The section that is open, and its name."""
    _sections: int = 0

    def begin(self, event: StepStarted, now: float) -> bool:
        if not self.settings.ci or event.cached or not runs(event.text):
            return False
        self._titles[event.id] = f"{self.labels.step(event.id)} {printable(event.text)}"
        self._write(self._floor.say(event.id, "", now))
        return True

    def feed(self, event: StepOutput, seconds: float, now: float) -> None:
        self._add(event.id, self._lines.feed(event), seconds, now)

    def end(self, event: StepFinished | StepFailed, now: float) -> Tail:
        if isinstance(event, StepFailed) and event.cancelled:
            self._lines.end(event.id)
            self._tails.take(event.id)
            self._floor.drop(event.id)
            return Tail()
        for _, line in self._lines.end(event.id):
            self._add(event.id, [line], event.seconds, now)
        self._write(self._floor.end(event.id))
        self._titles.pop(event.id, None)
        return self._tails.take(event.id)

    def tick(self, now: float) -> None:
        self._write(self._floor.tick(now))

    def interrupt(self) -> None:
        if self._section is not None:
            self.log.command(section_end(self.settings.ci, self._section[1], self.wall()))
            self._section = None

    def _add(self, step: StepId, lines: list[bytes], seconds: float, now: float) -> None:
        self._tails.add(step, lines, seconds)
        label = self.labels.step(step)
        if self.settings.timestamps:
            label = f"{rfc3339(self.wall())} {label}"
        text = attributed(lines, label, seconds, colored=self.settings.format == "color")
        if not self.settings.ci:
            self.log.own(text)
        elif text:
            self._write(self._floor.say(step, text, now))

    def _write(self, said: list[Said]) -> None:
        for step, text in said:
            if self._section is None or self._section[0] != step:
                self.interrupt()
                self._sections += 1
                name = f"gazami_{step.stage}_{step.step}_{self._sections}"
                title = self._titles.get(step, self.labels.step(step))
                self.log.command(section_start(self.settings.ci, name, title, self.wall()))
                self._titles[step] = f"{self.labels.step(step)} goes on"
                self._section = (step, name)
            self.log.own(text)


def run_output(log: LogStreams, labels: Labels, settings: Settings, wall: Callable[[], float]) -> RunOutput:
    """The form that the settings ask for."""
    if settings.quiet:
        return OfFailures(log)
    if settings.format == "json":
        return AsJSON(log, wall)
    if settings.raw:
        return AsItIs(log)
    return WithNames(log, labels, settings, wall)
