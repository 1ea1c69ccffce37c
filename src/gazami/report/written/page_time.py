"""Where the time of a build went, as a part of ``report.html``. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gazami.report import units
from gazami.report.written.page_parts import table

_SPENT = {
    "commands": "commands of RUN",
    "copies": "COPY, ADD and WORKDIR",
    "snapshots": "layers of RUN read and compressed",
    "bases": "bases fetched and unpacked",
    "otherBuilds": "waits for other builds",
    "uploads": "uploads",
    "lookUps": "look-ups in the cache",
    "rest": "the rest: the context, the plan, the manifest, the end",
}


def time_rows(known: dict[str, Any]) -> Iterator[str]:
    """What the build needs at least, its commands, and what is above that."""
    total, spent = known["seconds"], known["time"]
    if not known["stages"] or not total:
        return
    above = units.seconds(max(0.0, total - spent["commands"]))
    yield f"<h2>Where the time went</h2>\n<p>Commands ran for {units.seconds(spent['commands'])}. {above} are above that floor.</p>"
    rows = [
        (what, units.seconds(spent[kind]), f"{100 * spent[kind] / total:.0f} %", _rate(known, kind))
        for kind, what in _SPENT.items()
        if spent[kind] >= 0.001
    ]
    yield from table(("Each moment counts once, for the first of these", "Time", "", ""), rows, numbers=(1, 2))


def _rate(known: dict[str, Any], kind: str) -> str:
    """How fast bytes became layers or went to registries, and how many requests there were."""
    match kind:
        case "lookUps" if known["requests"] is not None:
            return f"{known['requests']} requests in the whole build"
        case "snapshots":
            steps = [step for stage in known["stages"] for step in stage["steps"] if step["snapshot"] and step["layerSize"]]
            return _fast([(step["layerSize"], step["snapshot"]["seconds"]) for step in steps], "compressed", "layer")
        case "uploads":
            moved = [each for each in known["transfers"] if each["how"] == "moved" and each["direction"] == "push"]
            return _fast([(each["size"], each["seconds"]) for each in moved], "sent", "upload")
        case _:
            return ""


def _fast(pieces: list[tuple[int, float | None]], done: str, what: str) -> str:
    size, took = sum(size for size, _ in pieces), sum(seconds or 0.0 for _, seconds in pieces)
    return f"{units.size(size)} {done}, {units.size(size / took)}/s for each {what}" if took else ""
