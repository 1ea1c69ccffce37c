"""A build as Markdown for the summary page of a GitHub job: its steps with time and layer, hits of the cache, the error. Pure."""

from __future__ import annotations

from gazami import events
from gazami.errors import GazamiError
from gazami.foreign import printable
from gazami.report import units
from gazami.report.excerpt import failure
from gazami.report.labels import Labels, works
from gazami.report.summary import Record, hits_of, shorten
from gazami.values import fast_dataclass, field

_WIDTH = 90


@fast_dataclass(slots=True)
class JobSummary:
    """Collects what the page tells."""

    record: Record = field(default_factory=Record)
    labels: Labels = field(default_factory=Labels)
    failed: events.StepFailed | None = None

    def note(self, event: events.Event) -> None:
        self.record.note(event)
        self.labels.note(event)
        if isinstance(event, events.StepFailed) and not event.cancelled:
            self.failed = self.failed or event

    def text(self, error: GazamiError | None = None) -> str:
        """Empty for a build of which there is nothing to tell."""
        parts = [self._head(error), self._steps(), self._misses(), self._end(), self._error(error)]
        return "\n".join(part for part in parts if part) + "\n" if any(parts[1:]) else ""

    def _head(self, error: GazamiError | None) -> str:
        names = ", ".join(f"`{_cell(item.where)}`" for item in self.record.exported if item.kind in ("image", "index"))
        return f"### Build failed{f': {names}' if names else ''}\n" if error else f"### Build{f' of {names}' if names else ''}\n"

    def _steps(self) -> str:
        steps: list[events.StepFinished | events.StepFailed] = []
        steps += [step for step in self.record.finished if step.cached or works(self._text(step.id))]
        steps += [self.failed] if self.failed is not None else []
        steps.sort(key=lambda step: (step.id.stage, step.id.step))
        return "\n".join(["| Step | Time | Layer |", "|---|--:|--:|", *map(self._row, steps), ""]) if steps else ""

    def _row(self, step: events.StepFinished | events.StepFailed) -> str:
        text = _cell(f"{self.labels.step(step.id)} {shorten(self._text(step.id), _WIDTH)}")
        if isinstance(step, events.StepFailed):
            return f"| **`{text}`** | **failed** {units.seconds(step.seconds)} | |"
        layer = units.size(step.layer_size) if step.layer_size is not None else ""
        return f"| `{text}` | {'cached' if step.cached else units.seconds(step.seconds)} | {layer} |"

    def _misses(self) -> str:
        """Why the first step of a stage that was not cached was not."""
        missed = [step for step in self.record.started.values() if step.reasons]
        rows = [
            f"- `{_cell(self.labels.step(step.id))} {_cell(shorten(printable(step.text), _WIDTH))}`: "
            + ", ".join(f"`{_cell(printable(reason))}`" for reason in step.reasons)
            for step in sorted(missed, key=lambda step: (step.id.stage, step.id.step))
        ]
        return "\n".join(["Not in the cache:", "", *rows, ""]) if rows else ""

    def _text(self, step: events.StepId) -> str:
        started = self.record.started.get(step)
        return printable(started.text) if started else ""

    def _end(self) -> str:
        end = self.record.end
        if end is None:
            return ""
        layers = "1 layer" if end.layers == 1 else f"{end.layers} layers"
        return (
            ", ".join([units.seconds(end.seconds), layers, units.size(end.size), *hits_of(self.record), f"`{end.digest}`"]) + "\n"
        )

    def _error(self, error: GazamiError | None) -> str:
        if error is None:
            return ""
        text = failure(error).text.replace("```", "'''")
        return f"```\n{text}\n```\n"


def _cell(text: str) -> str:
    """Text for a cell with code: nothing in it ends the code or the cell."""
    return text.replace("`", "'").replace("|", "\\|")
