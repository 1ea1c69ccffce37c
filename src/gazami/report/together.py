"""Several builds in one view: each one's events with its name, and with stage numbers and keys that do not collide. Pure."""

from __future__ import annotations

from gazami import events
from gazami.report.labels import stage_names
from gazami.values import replace

_APART = 1000
"""Stages that a build may have before its numbers meet those of the next one."""


class Named:
    """The events of one of several builds. ``label`` is its name (a platform), ``number`` its position among them from 0."""

    def __init__(self, label: str, number: int) -> None:
        self._label, self._offset = label, number * _APART
        self._held: dict[tuple[events.StepId, str], bytes] = {}

    def __call__(self, event: events.Event) -> list[events.Event]:
        """The events to show instead of one: none for the end of one build of several."""
        match event:
            case events.StepOutput():
                return self._output(event)
            case events.StepFinished() | events.StepFailed():
                return [*self._rest(event.id), replace(event, id=self._id(event.id))]
            case events.StepStarted():
                return [replace(event, id=self._id(event.id), text=f"{self._label}: {event.text}")]
            case events.StageStarted():
                name = f"{self._label} {event.name or f'stage {event.stage}'}"
                return [replace(event, stage=event.stage + self._offset, name=name)]
            case events.StagesNeeded():
                return [replace(event, numbers=tuple(number + self._offset for number in event.numbers))]
            case events.StageFinished():
                return [replace(event, stage=event.stage + self._offset)]
            case events.BaseStarted() | events.BaseFinished() | events.StepWaiting() | events.StepWaited():
                return [replace(event, id=self._id(event.id))]
            case events.PlanReady():
                names = stage_names(event.stages)
                stages = tuple(
                    (index + self._offset, f"{self._label} {names[index]}".strip(), texts) for index, _, texts in event.stages
                )
                return [replace(event, stages=stages)]
            case events.TransferStarted():
                return [replace(event, key=self._key(event.key), what=f"{event.what} ({self._label})")]
            case events.PhaseStarted():
                step = self._id(event.step) if event.step is not None else None
                return [replace(event, key=self._key(event.key), what=f"{event.what} ({self._label})", step=step)]
            case events.TransferProgress() | events.TransferFinished() | events.PhaseProgress() | events.PhaseFinished():
                return [replace(event, key=self._key(event.key))]
            case events.Message() | events.Warned() | events.SandboxChosen() | events.BaseResolved() | events.CacheChecked():
                return [self._fact(event)]
            case events.Exported():
                return [event]
            case events.ImageMade() | events.BuildFinished():
                return []

    def _fact(
        self, event: events.Message | events.Warned | events.SandboxChosen | events.BaseResolved | events.CacheChecked
    ) -> events.Event:
        """A fact with the name of its build."""
        match event:
            case events.Message() | events.Warned():
                return replace(event, text=f"{self._label}: {event.text}")
            case events.SandboxChosen():
                return replace(event, mode=f"{event.mode} ({self._label})")
            case events.BaseResolved():
                return replace(event, reference=f"{event.reference} for {self._label}")
            case events.CacheChecked():
                return replace(event, where=f"{event.where} ({self._label})")

    def _id(self, step: events.StepId) -> events.StepId:
        return replace(step, stage=step.stage + self._offset)

    def _key(self, key: str) -> str:
        return f"{self._label} {key}"

    def _output(self, event: events.StepOutput) -> list[events.Event]:
        """Whole lines, so that those of two builds never share one."""
        key = (event.id, event.stream)
        *whole, rest = (self._held.pop(key, b"") + event.data).split(b"\n")
        if rest:
            self._held[key] = rest
        if not whole:
            return []
        data = b"".join(line + b"\n" for line in whole)
        return [replace(event, id=self._id(event.id), data=data)]

    def _rest(self, step: events.StepId) -> list[events.Event]:
        keys = [key for key in self._held if key[0] == step]
        return [
            events.StepOutput(self._id(step), "stderr" if key[1] == "stderr" else "stdout", self._held.pop(key) + b"\n")
            for key in keys
        ]
