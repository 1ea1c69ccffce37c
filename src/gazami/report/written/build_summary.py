"""A build as one JSON document: ``summary.json`` of ``--report`` (docs/reference/report.schema.json). Pure.

Times are seconds: ``start`` from the begin of the build, ``seconds`` of duration, null for what had not ended. Sizes are bytes. The
page is made of this document alone, so whatever it shows can be read by a program.
"""

from __future__ import annotations

import json
from typing import Any

from gazami import __version__, events
from gazami.errors import GazamiError, SeveralErrors
from gazami.foreign import printable, printable_lines
from gazami.report.causes import causes
from gazami.report.excerpt import failure
from gazami.report.labels import stage_names
from gazami.report.written.time_spent import time_spent, uploads_of
from gazami.report.written.timeline import Period, StepTold, Timeline

VERSION = 1
"""Grows when a member changes its meaning or is gone; new ones may come without."""


def document(timeline: Timeline, started: str, error: GazamiError | None = None) -> dict[str, Any]:
    """``started`` is the time at which the build began, RFC 3339."""
    end = timeline.summary.record.end
    total = end.seconds if end is not None else timeline.now
    return {
        "version": VERSION,
        "gazami": __version__,
        "outcome": "failed" if error is not None else "succeeded",
        "started": started,
        "seconds": _rounded(total),
        "time": {kind: _rounded(spent) for kind, spent in time_spent(timeline, total).items()},
        "requests": end.requests if end is not None else None,
        "isolation": _isolation(timeline),
        "cache": _cache(timeline),
        "bases": [
            {"reference": printable(each.reference), "digest": each.digest}
            for each in timeline.facts
            if isinstance(each, events.BaseResolved)
        ],
        "stages": [_stage(timeline, *each) for each in timeline.plan],
        "transfers": [
            {
                "direction": told.direction,
                "what": told.what,
                "where": printable(told.where),
                "size": size,
                "how": span.how or "unfinished",
            }
            | _times(span)
            for attempts in timeline.transfers.values()
            for told, span, size in attempts
        ],
        "phases": [
            {"what": printable(told.what), "failed": span.how == "failed", **_times(span)} for told, span in timeline.phases
        ],
        "image": _image(timeline),
        "outputs": [
            {"kind": each.kind, "where": printable(each.where), "digest": each.digest} for each in timeline.summary.record.exported
        ],
        "warnings": [found for each in timeline.facts if (found := _warning(each)) is not None],
        "error": _error(error) if error is not None else None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _times(span: Period) -> dict[str, float | None]:
    return {"start": _rounded(span.begun), "seconds": _rounded(span.seconds)}


def _isolation(timeline: Timeline) -> dict[str, str] | None:
    found = [each for each in timeline.facts if isinstance(each, events.SandboxChosen)]
    return {"mode": found[-1].mode, "reason": printable(found[-1].reason)} if found else None


def _cache(timeline: Timeline) -> dict[str, Any] | None:
    found = [each for each in timeline.facts if isinstance(each, events.CacheChecked)]
    ended = timeline.summary.record.finished
    hits, misses = sum(each.cached for each in ended), sum(each.missed for each in ended)
    if not found and not hits and not misses:
        return None
    last = found[-1] if found else events.CacheChecked("", hits + misses, hits, 0.0)
    return {
        "where": printable(last.where), "asked": last.asked, "found": last.found, "hits": hits, "misses": misses,
        **_times(timeline.looked_up or Period(0.0, 0.0)),
    }  # fmt: skip


# -- stages ----------------------------------------------------------------------------------------------------------------------


def _stage(timeline: Timeline, number: int, _: str, texts: tuple[str, ...]) -> dict[str, Any]:
    begun, span = timeline.stages.get(number, (None, None))
    skipped = span is None and timeline.needed is not None and number not in timeline.needed
    return {
        "stage": number,
        "name": stage_names(timeline.plan)[number],
        "base": printable(begun.base) if begun is not None else None,
        "skipped": skipped,
        "start": _rounded(span.begun) if span is not None else None,
        "seconds": _rounded(span.seconds) if span is not None else None,
        "steps": [_step(timeline, events.StepId(number, place), text) for place, text in enumerate(texts, start=1)],
    }


def _step(timeline: Timeline, step: events.StepId, text: str) -> dict[str, Any]:
    told = timeline.steps.get(step)
    started = told.started if told is not None else None
    ended = told.ended if told is not None else None
    span = started.span if started is not None else None
    finished = ended if isinstance(ended, events.StepFinished) else None
    known: dict[str, Any] = {"step": step.step, "text": printable(text), "outcome": _outcome(told)}
    known |= {"start": None, "seconds": None} if told is None or started is None else _times(told.span)
    return known | {
        "file": printable(started.file) if started is not None and started.file else None,
        "line": span.start if span is not None else None,
        "base": _times(told.base) if told is not None and told.base is not None else None,
        "waited": {**_times(told.waited), "how": told.waited.how or "unfinished"} if told is not None and told.waited else None,
        "lookedUp": _times(told.looked_up) if told is not None and told.looked_up is not None else None,
        "snapshot": _times(told.snapshot) if told is not None and told.snapshot is not None else None,
        "uploads": [
            {"where": printable(begun.where), **_times(span)}
            for begun, span in uploads_of(timeline, finished.layer if finished is not None else "")
        ],
        "missed": finished.missed if finished is not None else bool(started and started.reasons),
        "reasons": [printable(each) for each in started.reasons] if started is not None else [],
        "layerSize": finished.layer_size if finished is not None else None,
        "files": finished.files if finished is not None else None,
        "error": printable_lines(ended.message) if isinstance(ended, events.StepFailed) and not ended.cancelled else None,
        "output": printable_lines(told.output.decode("utf-8", "replace").replace("\r\n", "\n")) if told is not None else "",
    }


def _outcome(told: StepTold | None) -> str:
    match told.ended if told is not None else None:
        case events.StepFinished(cached=True):
            return "cached"
        case events.StepFinished():
            return "done"
        case events.StepFailed(cancelled=True):
            return "cancelled"
        case events.StepFailed():
            return "failed"
        case _:
            return "not run" if told is None else "unfinished"


# -- image -----------------------------------------------------------------------------------------------------------------------


def _image(timeline: Timeline) -> dict[str, Any] | None:
    """Null where there is none: the build failed before, or the image existed already."""
    made = [each for each in timeline.facts if isinstance(each, events.ImageMade)]
    if not made:
        return None
    last, end = made[-1], timeline.summary.record.end
    config = json.loads(last.config)
    by = [str(each.get("created_by", "")) for each in config.get("history") or () if not each.get("empty_layer")]
    by = by if len(by) == len(last.digests) else [""] * len(last.digests)
    return {
        "digest": end.digest if end is not None else None,
        "imageId": (end.image_id or None) if end is not None else None,
        "size": sum(last.sizes),
        "layers": [
            {"digest": digest, "size": size, "createdBy": printable(text)}
            for digest, size, text in zip(last.digests, last.sizes, by, strict=True)
        ],
        "platform": "/".join(str(config[name]) for name in ("os", "architecture", "variant") if config.get(name)),
        "config": config.get("config") or {},
    }


def _warning(event: events.Event) -> dict[str, Any] | None:
    match event:
        case events.Warned():
            return {"text": printable_lines(event.text), "rule": event.rule, "line": event.span.start if event.span else None}
        case events.Message():
            return {"text": printable_lines(event.text), "rule": None, "line": None}
        case _:
            return None


def _error(error: GazamiError) -> dict[str, Any]:
    """``text`` is what the log says, with the lines of the Dockerfile."""
    return {
        "kind": type(error).__name__,
        "message": printable_lines(error.message),
        "text": failure(error).text,
        "hint": printable_lines(error.hint) if error.hint else None,
        "causes": [printable_lines(each) for each in causes(error)],
        "exitCode": error.exit_code & 0xFF or 1,
        "file": printable(error.source.name) if error.source else None,
        "line": error.span.start if error.span else None,
        "errors": [_error(each) for each in error.errors] if isinstance(error, SeveralErrors) else [],
    }
