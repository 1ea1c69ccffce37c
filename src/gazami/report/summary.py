"""The end of a build in one table: steps with time and layer size, what went where, the total. Events in, text out."""

from __future__ import annotations

from collections.abc import Iterable

from gazami import events
from gazami.foreign import printable
from gazami.report import units
from gazami.report.labels import stage_names
from gazami.values import fast_dataclass, field

_WIDTH = 56


@fast_dataclass(slots=True)
class Record:
    """The events that the summary needs; everything else (output, progress) is let go at once."""

    names: dict[int, str] = field(default_factory=dict)
    started: dict[events.StepId, events.StepStarted] = field(default_factory=dict)
    ended: dict[events.StepId, events.StepFinished] = field(default_factory=dict)
    """The last end of each step: a build that begins again without the cache ends some twice."""
    exported: list[events.Exported] = field(default_factory=list)
    end: events.BuildFinished | None = None
    cache: str = ""

    @property
    def finished(self) -> tuple[events.StepFinished, ...]:
        return tuple(self.ended.values())

    def note(self, event: events.Event) -> None:
        match event:
            case events.PlanReady():
                self.names |= stage_names(event.stages)
            case events.StageStarted():
                self.names.setdefault(event.stage, event.name or f"stage {event.stage}")
            case events.StepStarted():
                self.started[event.id] = event
            case events.StepFinished():
                self.ended[event.id] = event
            case events.Exported():
                self.exported.append(event)
            case events.BuildFinished():
                self.end = event
            case events.CacheChecked():
                self.cache = event.where
            case _:
                pass


def summarise(story: Iterable[events.Event]) -> str:
    """The summary of all events of a build; empty before :class:`BuildFinished`."""
    record = Record()
    for event in story:
        record.note(event)
    return summary(record)


def summary(record: Record) -> str:
    if record.end is None:
        return ""
    return "\n".join([*_steps(record), *_exports(record), _total(record.end)])


def _steps(record: Record) -> list[str]:
    lines: list[str] = []
    stage = None
    for step in sorted(record.finished, key=lambda event: (event.id.stage, event.id.step)):
        if step.id.stage != stage and len(record.names) > 1:
            lines.append(f"{record.names.get(step.id.stage, f'stage {step.id.stage}')}:")
        stage = step.id.stage
        started = record.started.get(step.id)
        text = printable(started.text if started else "")
        time = "cached" if step.cached else units.seconds(step.seconds)
        layer = units.size(step.layer_size) if step.layer_size is not None else "-"
        lines.append(f"  {step.id.step:3d}  {shorten(text, _WIDTH):<{_WIDTH}} {time:>8} {layer:>10}")
    return [f"  {'':3}  {'step':<{_WIDTH}} {'time':>8} {'layer':>10}", *lines] if lines else []


def _exports(record: Record) -> list[str]:
    verbs = {
        "image": "pushed", "index": "pushed index", "docker-archive": "docker archive", "oci-layout": "OCI layout",
        "files": "files in", "file": "wrote", "loaded": "loaded",
    }  # fmt: skip
    return [
        f"{verbs[item.kind]} {item.where}" + (f"  {item.digest}" if item.digest and item.digest not in item.where else "")
        for item in record.exported
    ]


def _total(end: events.BuildFinished) -> str:
    layers = "1 layer" if end.layers == 1 else f"{end.layers} layers"
    asked = f", {_requests(end)}" if end.requests else ""
    return f"image {end.digest}, {layers}, {units.size(end.size)}, built in {units.seconds(end.seconds)}{asked}"


def _requests(end: events.BuildFinished) -> str:
    return "1 request" if end.requests == 1 else f"{end.requests} requests"


def ending(record: Record) -> str:
    """The end of a build in one line: ``Build finished in 0.6s: 2 layers, 13.0 MB, 4 of 6 cached, first miss Dockerfile:5,
    sha256:…``."""
    end = record.end
    if end is None:
        return ""
    layers = "1 layer" if end.layers == 1 else f"{end.layers} layers"
    asked = [_requests(end)] if end.requests else []
    parts = [layers, units.size(end.size), *hits_of(record), *asked, end.digest]
    return f"Build finished in {units.seconds(end.seconds)}: {', '.join(parts)}"


def hits_of(record: Record) -> list[str]:
    """``4 of 6 cached`` and the first miss; nothing for a build without a cache."""
    hits = sum(step.cached for step in record.finished)
    missed = [step for step in record.finished if step.missed]
    if not hits and not missed:
        return []
    found = [f"{hits} of {hits + len(missed)} cached"]
    if missed:
        first = record.started.get(min(missed, key=lambda step: (step.id.stage, step.id.step)).id)
        if first is not None and first.span is not None and first.file:
            found.append(f"first miss {printable(first.file)}:{first.span.start}")
    return found


def kept(record: Record) -> str:
    """What an interrupted build leaves, in one sentence; empty for what is no build."""
    if not record.names:
        return ""
    made = [item.where for item in record.exported]
    text = f"{', '.join(made)} had been written" if made else "nothing was pushed or written"
    return text + (f"; layers that were stored by then stay in the cache {record.cache}" if record.cache else "")


def facts(record: Record) -> dict[str, object]:
    """The same for the JSON log: numbers instead of text."""
    end = record.end
    steps = [
        {
            "stage": step.id.stage,
            "step": step.id.step,
            "text": record.started[step.id].text if step.id in record.started else "",
            "seconds": round(step.seconds, 3),
            "cached": step.cached,
            "layer_size": step.layer_size,
        }
        for step in record.finished
    ]
    outputs = [{"kind": item.kind, "where": item.where, "digest": item.digest} for item in record.exported]
    if end is None:
        return {"steps": steps, "outputs": outputs}
    total: dict[str, object] = {"digest": end.digest, "size": end.size, "layers": end.layers, "seconds": round(end.seconds, 3)}
    if hits_of(record):
        hits = sum(step.cached for step in record.finished)
        total |= {"cached": hits, "cacheable": hits + sum(step.missed for step in record.finished)}
    return {**total, "steps": steps, "outputs": outputs}


def shorten(text: str, width: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"
