"""A build as spans of OpenTelemetry, in the JSON of OTLP (opentelemetry-proto, ``ExportTraceServiceRequest``). Pure.

The build is a span, or a child of the caller's (``TRACEPARENT``). Below it lie its stages, their steps, what these did (look-up,
wait, base, snapshot), transfers, and the first look into the cache. Texts are those of the log: instructions as written, no values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gazami import __version__
from gazami.values import fast_dataclass

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")
_INTERNAL, _CLIENT = 1, 3
"""SpanKind."""
_GOOD, _ERROR = 1, 2
"""Status codes."""
_MOST = 1000
"""Characters of a text."""


@fast_dataclass(frozen=True, slots=True)
class Parent:
    """The span that a build is a part of; an empty ``trace`` is none. ``sampled``: whoever began the trace keeps it."""

    trace: str = ""
    span: str = ""
    sampled: bool = True


def parent_of(traceparent: str) -> Parent:
    """A W3C trace context; none for what is not valid, as the standard says."""
    found = _TRACEPARENT.match(traceparent.strip())
    if found is None or set(found[1]) == {"0"} or set(found[2]) == {"0"}:
        return Parent()
    return Parent(found[1], found[2], sampled=bool(int(found[3], 16) & 1))


@fast_dataclass(slots=True)
class _Trace:
    """``began`` is the build's begin in nanoseconds of Unix time; ``ids`` gives random span ids of 16 digits."""

    trace: str
    began: int
    total: float
    ids: Iterator[str]

    def span(
        self,
        name: str,
        parent: str,
        times: Mapping[str, Any],
        values: Mapping[str, Any],
        *,
        error: str | None = None,
        kind: int = _INTERNAL,
    ) -> dict[str, Any]:
        start = times["start"] or 0.0
        seconds = times["seconds"] if times["seconds"] is not None else max(0.0, self.total - start)
        return {
            "traceId": self.trace,
            "spanId": next(self.ids),
            **({"parentSpanId": parent} if parent else {}),
            "name": name[:_MOST],
            "kind": kind,
            "startTimeUnixNano": str(self.began + int(start * 1e9)),
            "endTimeUnixNano": str(self.began + int((start + seconds) * 1e9)),
            "attributes": attributes(values),
            "status": {"code": _ERROR, "message": error[:_MOST]} if error is not None else {"code": _GOOD},
        }


def spans(known: Mapping[str, Any], parent: Parent, trace: str, began: int, ids: Iterator[str]) -> list[dict[str, Any]]:
    """The spans of a document of ``build_summary.document``; ``trace`` is the id of a new trace, where there is no parent."""
    made = _Trace(parent.trace or trace, began, known["seconds"], ids)
    image, error = known["image"] or {}, known["error"]
    values = {
        "gazami.outcome": known["outcome"],
        "gazami.requests": known["requests"],
        "gazami.image.digest": image.get("digest"),
        "gazami.image.size": image.get("size"),
        "gazami.isolation": (known["isolation"] or {}).get("mode"),
        "gazami.cache.hits": (known["cache"] or {}).get("hits"),
        "gazami.cache.misses": (known["cache"] or {}).get("misses"),
    }
    said = error["message"] if error is not None else None
    build = made.span("build", parent.span, {"start": 0.0, "seconds": known["seconds"]}, values, error=said)
    found = [build]
    if known["cache"] is not None:
        found.append(made.span("look up all steps", build["spanId"], known["cache"], {"gazami.cache": known["cache"]["where"]}))
    for stage in known["stages"]:
        if stage["start"] is not None:
            found += _stage(made, stage, build["spanId"])
    for each in known["transfers"]:
        if each["how"] in ("moved", "failed", "unfinished"):
            values = {"gazami.digest": each["what"], "gazami.repository": each["where"], "gazami.size": each["size"]}
            bad = each["how"] if each["how"] != "moved" else None
            found.append(made.span(each["direction"], build["spanId"], each, values, error=bad, kind=_CLIENT))
    return found


def _stage(made: _Trace, stage: Mapping[str, Any], build: str) -> Iterator[dict[str, Any]]:
    span = made.span(f"stage {stage['name'] or stage['stage']}", build, stage, {"gazami.base": stage["base"]})
    yield span
    for step in stage["steps"]:
        if step["start"] is not None:
            yield from _step(made, step, span["spanId"])


def _step(made: _Trace, step: Mapping[str, Any], stage: str) -> Iterator[dict[str, Any]]:
    """A step with what came before it, and its parts."""
    parts = [(name, step[key]) for name, key in _PARTS if step[key] is not None]
    start = min(times["start"] for times in (step, *(each for _, each in parts)))
    end = step["start"] + (step["seconds"] if step["seconds"] is not None else max(0.0, made.total - step["start"]))
    values = {
        "gazami.outcome": step["outcome"],
        "gazami.cached": step["outcome"] == "cached",
        "gazami.reasons": "; ".join(step["reasons"]) or None,
        "gazami.layer.size": step["layerSize"],
        "code.file.path": step["file"],
        "code.line.number": step["line"],
    }
    span = made.span(step["text"], stage, {"start": start, "seconds": end - start}, values, error=step["error"])
    yield span
    for name, times in parts:
        yield made.span(name, span["spanId"], times, {})


_PARTS = (("look up", "lookedUp"), ("wait for another build", "waited"), ("base", "base"), ("snapshot", "snapshot"))


def attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that have a value, as OTLP's KeyValue."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)[:_MOST]}


def export_request(made: list[dict[str, Any]], resource: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a POST to ``/v1/traces``."""
    scope = {"name": "gazami", "version": __version__}
    return {"resourceSpans": [{"resource": {"attributes": attributes(resource)}, "scopeSpans": [{"scope": scope, "spans": made}]}]}
