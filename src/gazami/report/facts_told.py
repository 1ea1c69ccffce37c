"""Events that are one line each, whatever came before. The wording keeps what scripts look for in kaniko's log where the same fact
exists ("Retrieving image manifest …", "Pushed …@sha256:…"). Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, assert_never

from gazami import events
from gazami.foreign import printable_lines
from gazami.report.line import Line

Fact = (
    events.Message
    | events.Warned
    | events.SandboxChosen
    | events.BaseResolved
    | events.PlanReady
    | events.CacheChecked
    | events.StagesNeeded
    | events.ImageMade
    | events.Exported
)


def told_plainly(event: Fact) -> list[Line]:
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
        case events.StagesNeeded() | events.ImageMade():
            return []
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
