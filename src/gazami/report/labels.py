"""How steps and stages are called in every display: ``[build 2/5]``, from the plan. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gazami import events
from gazami.foreign import printable
from gazami.values import fast_dataclass, field

STAGES = Sequence[tuple[int, str, tuple[str, ...]]]
_WORKING = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})


def stage_names(stages: STAGES) -> dict[int, str]:
    """The names of a plan's stages for people: their own, ``final`` for the target (the last one) and ``stage-0`` for others
    without one, as COPY --from=0 calls them; empty for the only stage of a plan."""
    names: dict[int, str] = {}
    for index, name, _ in stages:
        if name and name != str(index):
            names[index] = printable(name)
        elif len(stages) == 1:
            names[index] = ""
        else:
            names[index] = "final" if index == stages[-1][0] else f"stage-{index}"
    return names


def works(text: str) -> bool:
    """Whether an instruction does more than to change the config."""
    return _keyword(text) in _WORKING


def runs(text: str) -> bool:
    """Whether an instruction runs a command."""
    return _keyword(text) == "RUN"


def _keyword(text: str) -> str:
    """The first word; the name of one of several builds may stand before it (``linux/arm64: RUN make``)."""
    first, *more = text.split(maxsplit=2)[:2] or [""]
    return (more[0] if more and first.endswith(":") else first).upper()


@fast_dataclass(slots=True)
class Labels:
    """Learns names and totals from the events of a build, or of several in one view."""

    names: dict[int, str] = field(default_factory=dict)
    texts: dict[int, tuple[str, ...]] = field(default_factory=dict)
    totals: dict[int, int] = field(default_factory=dict)

    def note(self, event: events.Event) -> None:
        match event:
            case events.PlanReady():
                self.names |= stage_names(event.stages)
                self.texts |= {index: texts for index, _, texts in event.stages}
                self.totals |= {index: len(texts) for index, _, texts in event.stages}
            case events.StageStarted():
                self.names.setdefault(event.stage, printable(event.name))
                self.totals.setdefault(event.stage, event.steps)
            case events.StepStarted():
                self.totals[event.id.stage] = event.total
            case _:
                pass

    def stage(self, number: int) -> str:
        """``[build]``, or nothing for the only stage."""
        name = self.names.get(number, "")
        return f"[{name}]" if name else ""

    def step(self, step: events.StepId) -> str:
        """``[build 2/5]``."""
        name, total = self.names.get(step.stage, ""), self.totals.get(step.stage)
        count = f"{step.step}/{total}" if total else str(step.step)
        return f"[{name} {count}]" if name else f"[{count}]"

    def text(self, step: events.StepId) -> str:
        """The instruction as the plan has it; empty where the plan is not known."""
        texts = self.texts.get(step.stage, ())
        return printable(texts[step.step - 1]) if 0 < step.step <= len(texts) else ""
