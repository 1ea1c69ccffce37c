"""Who speaks, where output folds away in sections: one step at a time, so that a section holds one step's lines and is not cut
into pieces by its neighbours. Pure.

What others say meanwhile is held, for a few seconds and up to 64 KiB each: then the next one has the floor.
"""

from __future__ import annotations

from gazami.events import StepId
from gazami.values import fast_dataclass, field

PATIENCE = 5.0
"""Seconds that a line waits at most."""

HELD = 64 * 1024

Said = tuple[StepId, str]


@fast_dataclass(slots=True)
class _Waiting:
    since: float
    size: int = 0
    pieces: list[str] = field(default_factory=list)


@fast_dataclass(slots=True)
class Floor:
    """Every call returns what is to be written now, in order."""

    speaker: StepId | None = None
    _waiting: dict[StepId, _Waiting] = field(default_factory=dict)

    def say(self, step: StepId, text: str, now: float) -> list[Said]:
        if self.speaker in (None, step):
            self.speaker = step
            return [(step, text)]
        waiting = self._waiting.setdefault(step, _Waiting(now))
        waiting.pieces.append(text)
        waiting.size += len(text)
        return self._give(step) if waiting.size > HELD else []

    def tick(self, now: float) -> list[Said]:
        late = [step for step, waiting in self._waiting.items() if now - waiting.since >= PATIENCE]
        return [said for step in late for said in self._give(step)]

    def end(self, step: StepId) -> list[Said]:
        """A step ends; its own rest comes first."""
        said = self._give(step) if step in self._waiting else []
        if self.speaker == step:
            self.speaker = None
        return said

    def drop(self, step: StepId) -> None:
        """A step was cancelled: what it said while it waited is of no use."""
        self._waiting.pop(step, None)
        if self.speaker == step:
            self.speaker = None

    def _give(self, step: StepId) -> list[Said]:
        self.speaker = step
        return [(step, "".join(self._waiting.pop(step).pieces))]
