"""``report.html`` of ``--report``: one page without anything from elsewhere and without a script, from ``summary.json``'s document.

Whatever is in the document may come from a Dockerfile, a command's output or a registry. :func:`_text` is the only way of text into
the page, and the page's own policy forbids scripts and anything from elsewhere besides. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from gazami.report import units
from gazami.report.summary import shorten
from gazami.report.written.page_parts import code as _code
from gazami.report.written.page_parts import count as _count
from gazami.report.written.page_parts import lines as _lines
from gazami.report.written.page_parts import table as _table
from gazami.report.written.page_parts import text as _text
from gazami.report.written.page_style import STYLE
from gazami.report.written.page_time import time_rows

_SHORT = 120
"""Characters of an instruction that a row shows before it is opened."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_MARKS = {"done": "ran", "cached": "cached", "failed": "failed", "cancelled": "cancelled", "unfinished": "cancelled"}
_KEY = {
    "wait": "waited for the plan or another stage",
    "look": "looked up in the cache",
    "other": "waited for another build of the step",
    "base": "fetched and unpacked the base",
    "ran": "ran",
    "snapshot": "its layer was read and compressed",
    "upload": "its layer was uploaded",
    "cached": "from the cache",
    "failed": "failed",
}
_WAITED = {
    "found": "that one made it",
    "took over": "that one ended, so it ran here",
    "failed": "that one failed, so it ran here",
    "late": "that one took too long, so it ran here",
}
_OUTPUTS = {
    "image": "Pushed", "index": "Pushed index", "docker-archive": "Archive", "oci-layout": "OCI layout", "files": "Files",
    "file": "File", "loaded": "Loaded",
}  # fmt: skip
_HEX = re.compile("[0-9a-f]{12,}")
_MOST_SHAPES = 300
"""Pieces that a bar shows: more could not be told apart."""

_STEP_HEADS = (("what", "Step"), ("bar", "When"), ("number", "Time"), ("number", "Layer"))


def page(known: dict[str, Any]) -> str:
    """The page of a document of :func:`gazami.report.written.build_summary.document`."""
    names = [each["where"] for each in known["outputs"] if each["kind"] in ("image", "index")]
    title = f"Build {known['outcome']}" + (f": {', '.join(names)}" if names else "")
    parts = (
        _head(known, title), _error(known), _stages(known), time_rows(known), _misses(known), _layers(known), _config(known),
        _warnings(known), _transfers(known), _phases(known),
    )  # fmt: skip
    body = "\n".join(part for each in parts for part in each)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        f'<p class="soft">Made by gazami {_text(known["gazami"])}. The same as data: <code>summary.json</code>.</p>\n'
        "</body>\n</html>\n"
    )


# -- what came of it -------------------------------------------------------------------------------------------------------------


def _head(known: dict[str, Any], title: str) -> Iterator[str]:
    image, cache, isolation = known["image"], known["cache"], known["isolation"]
    mark = "bad" if known["outcome"] == "failed" else "good"
    head, colon, rest = title.partition(": ")
    yield f'<h1><span class="{mark}">{_text(head)}</span>{_text(colon + rest)}</h1>'
    facts = [("Begun", _text(known["started"])), ("Time", units.seconds(known["seconds"]))]
    if image is not None:
        facts += [("Digest", _code(image["digest"]))] if image["digest"] else []
        facts += [("Image ID", _code(image["imageId"]))] if image["imageId"] else []
        facts += [
            ("Platform", _text(image["platform"])),
            ("Size", f"{units.size(image['size'])} in {_count(len(image['layers']), 'layer')}"),
        ]
    facts += [(_OUTPUTS.get(each["kind"], "Made"), _code(each["where"])) for each in known["outputs"]]
    if cache is not None:
        steps = _count(cache["hits"] + cache["misses"], "step")
        text = f"{cache['hits']} of {steps} found in {_code(cache['where'])}, looked up in {units.seconds(cache['seconds'])}"
        facts.append(("Cache", text))
    if isolation is not None:
        facts.append(("Isolation", f"{_code(isolation['mode'])}: {_text(isolation['reason'])}"))
    facts += [("Base", f"{_code(each['reference'])} {_code(each['digest'])}") for each in known["bases"]]
    if known["requests"] is not None:
        facts.append(("Requests", f"{known['requests']} to registries and other servers"))
    yield '<dl class="facts">' + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts) + "</dl>"


def _error(known: dict[str, Any]) -> Iterator[str]:
    error = known["error"]
    if error is not None:
        yield f'<h2>Error</h2>\n<pre class="error">{_lines(error["text"])}</pre>'


# -- stages and steps ------------------------------------------------------------------------------------------------------------


def _stages(known: dict[str, Any]) -> Iterator[str]:
    if not known["stages"]:
        return
    total = max(known["seconds"], 0.001)
    yield "<h2>Stages and steps</h2>"
    boxes = "".join(
        f'<li><svg aria-hidden="true"><rect class="{mark}" width="100%" height="100%"/></svg>{what}</li>'
        for mark, what in _KEY.items()
    )
    yield f'<ul class="key">{boxes}</ul>'
    for stage in known["stages"]:
        yield from _stage(stage, total)
    yield from _beside(known, total)


def _stage(stage: dict[str, Any], total: float) -> Iterator[str]:
    name = stage["name"] or (f"stage {stage['stage']}" if stage["stage"] else "the only stage")
    if stage["skipped"]:
        yield f'<h3>{_text(name)}</h3><p class="soft">Not needed: what it makes is in the cache, or nothing uses it.</p>'
        return
    of = f' <span class="soft">from {_code(stage["base"])}</span>' if stage["base"] else ""
    yield f'<h3>{_text(name)}{of}</h3>\n<table class="steps">'
    yield f"<caption>{_stage_times(stage)}</caption>"
    heads = "".join(f'<th class="{mark}">{head}</th>' for mark, head in _STEP_HEADS)
    yield f"<thead><tr>{heads}</tr></thead><tbody>"
    wait = stage["start"] or 0.0
    for step in stage["steps"]:
        yield _step(step, wait if step["step"] == 1 else 0.0, total)
    yield "</tbody></table>"


def _stage_times(stage: dict[str, Any]) -> str:
    if stage["start"] is None:
        return "not begun"
    took = f", took {units.seconds(stage['seconds'])}" if stage["seconds"] is not None else ", did not end"
    return f"begun after {units.seconds(stage['start'])}{took}"


def _step(step: dict[str, Any], wait: float, total: float) -> str:
    layer = units.size(step["layerSize"]) if step["layerSize"] is not None else ""
    return (
        f'<tr><td class="what">{_step_text(step)}</td><td class="bar">{_bar(step, wait, total)}</td>'
        f'<td class="number">{_step_time(step)}</td><td class="number">{layer}</td></tr>'
    )


def _step_text(step: dict[str, Any]) -> str:
    facts = [f"{_text(step['file'])}:{step['line']}"] if step["file"] and step["line"] else []
    facts += [f"{_count(step['files'], 'file')} in its layer"] if step["files"] else []
    if step["base"] is not None and step["base"]["seconds"] is not None:
        facts.append(f"its base took {units.seconds(step['base']['seconds'])}")
    if step["snapshot"] is not None and step["snapshot"]["seconds"] is not None:
        facts.append(f"its layer was read and compressed in {units.seconds(step['snapshot']['seconds'])}")
    facts += [
        f"its layer was uploaded to {_text(each['where'])} in {units.seconds(each['seconds'])}"
        for each in step["uploads"]
        if each["seconds"] is not None
    ]
    if step["waited"] is not None and step["waited"]["seconds"] is not None:
        facts.append(f"waited {units.seconds(step['waited']['seconds'])} for another build of it: {_WAITED[step['waited']['how']]}")
    if step["missed"]:
        facts.append("not in the cache" + "".join(f"; {_text(each)}" for each in step["reasons"]))
    rest = f'<p class="soft">{"<br>".join(facts)}</p>' if facts else ""
    rest += f"<pre>{_lines(step['error'])}</pre>" if step["error"] else ""
    rest += f"<p>The end of what it printed:</p><pre>{_lines(step['output'])}</pre>" if step["output"] else ""
    short = f"{step['step']}. {_code(shorten(step['text'], _SHORT))}"
    whole = f"<pre>{_text(step['text'])}</pre>" if shorten(step["text"], _SHORT) != step["text"] else ""
    opened = " open" if step["outcome"] == "failed" else ""
    return f"<details{opened}><summary>{short}</summary>{whole}{rest}</details>" if rest or whole else short


def _step_time(step: dict[str, Any]) -> str:
    match step["outcome"]:
        case "done":
            return units.seconds(step["seconds"])
        case "failed":
            return f'<span class="bad">failed</span> {units.seconds(step["seconds"] or 0.0)}'
        case outcome:
            return _text(outcome)


def _bar(step: dict[str, Any], wait: float, total: float) -> str:
    """Where the step lies in the build's time, in percent; what is too short to see is a line."""
    pieces = [("wait", 0.0, wait)] if wait else []
    parts = [("look", step["lookedUp"]), ("other", step["waited"]), ("base", step["base"]), (_MARKS.get(step["outcome"], ""), step)]
    parts += [("snapshot", step["snapshot"]), *(("upload", each) for each in step["uploads"])]
    for mark, times in parts:
        if times is not None and mark and times["start"] is not None:
            pieces.append((mark, times["start"], times["seconds"] if times["seconds"] is not None else total - times["start"]))
    if not pieces:
        return ""
    shapes = "".join(_shape(mark, 100 * start / total, 100 * seconds / total) for mark, start, seconds in pieces)
    told = ", ".join(f"{mark} from {units.seconds(start)} for {units.seconds(seconds)}" for mark, start, seconds in pieces)
    return f'<svg role="img" aria-label="{_text(told)}"><title>{_text(told)}</title>{shapes}</svg>'


def _beside(known: dict[str, Any], total: float) -> Iterator[str]:
    """What goes on beside the steps of all stages, a row for each kind: one bar has all of its pieces."""
    rows: dict[str, list[dict[str, Any]]] = {}
    if known["cache"] is not None:
        rows["looking all steps up in the cache"] = [known["cache"]]
    for each in known["transfers"]:
        if each["how"] in ("moved", "unfinished", "failed"):
            rows.setdefault("fetching blobs" if each["direction"] == "pull" else "uploading blobs", []).append(each)
    for each in known["phases"]:
        rows.setdefault(_kind_of(each["what"]), []).append(each)
    if not rows:
        return
    yield '<h3>Beside the steps</h3>\n<table class="steps"><caption>work of all stages, also within the time of a step</caption>'
    heads = zip((mark for mark, _ in _STEP_HEADS), ("Work", "When", "Time", "Pieces"), strict=True)
    yield "<thead><tr>" + "".join(f'<th class="{mark}">{head}</th>' for mark, head in heads) + "</tr></thead><tbody>"
    for name, pieces in rows.items():
        took = [(each["start"], each["seconds"] if each["seconds"] is not None else total - each["start"]) for each in pieces]
        shapes = "".join(_shape("ran", 100 * start / total, 100 * seconds / total) for start, seconds in took[:_MOST_SHAPES])
        yield (
            f'<tr><td class="what">{_text(name)}</td><td class="bar"><svg aria-hidden="true">{shapes}</svg></td>'
            f'<td class="number">{units.seconds(sum(seconds for _, seconds in took))}</td><td class="number">{len(took)}</td></tr>'
        )
    yield "</tbody></table>"


def _kind_of(what: str) -> str:
    """``unpacking layers`` of ``unpacking layer 262347ccf2f2``."""
    words = what.split()
    return f"{' '.join(words[:-1])}s" if len(words) > 1 and _HEX.fullmatch(words[-1]) else what


def _shape(mark: str, start: float, width: float) -> str:
    return f'<rect class="{mark}" x="{min(99.6, start):.2f}%" width="{max(0.4, width):.2f}%" height="100%"/>'


def _misses(known: dict[str, Any]) -> Iterator[str]:
    missed = [(stage, step) for stage in known["stages"] for step in stage["steps"] if step["missed"]]
    if not missed:
        return
    yield "<h2>Why steps were not in the cache</h2>"
    rows = []
    for number, (stage, step) in enumerate(missed):
        before = number and missed[number - 1][0] is stage
        reasons = step["reasons"] or (
            ["it follows a step that was not found"] if before else ["no earlier build stored it, or its inputs are all new"]
        )
        place = f" ({_text(step['file'])}:{step['line']})" if step["file"] and step["line"] else ""
        rows.append((f"{_code(shorten(step['text'], _SHORT))}{place}", "<br>".join(map(_text, reasons))))
    yield from _table(("Step", "Reason"), rows)


# -- image -----------------------------------------------------------------------------------------------------------------------


def _layers(known: dict[str, Any]) -> Iterator[str]:
    if known["image"] is None or not known["image"]["layers"]:
        return
    layers = known["image"]["layers"]
    largest = max(1, *(each["size"] for each in layers))
    yield "<h2>Layers</h2>"
    rows = [
        (
            str(number),
            units.size(each["size"]),
            f'<svg aria-hidden="true"><rect class="ran" width="{100 * each["size"] / largest:.2f}%" height="100%"/></svg>',
            f'{_code(shorten(each["createdBy"], _SHORT))}<br><span class="soft">{_code(each["digest"])}</span>',
        )
        for number, each in enumerate(layers, start=1)
    ]
    yield from _table(("", "Size", "", "Instruction, digest"), rows, numbers=(1,))


def _config(known: dict[str, Any]) -> Iterator[str]:
    if known["image"] is None:
        return
    yield "<h2>Config</h2>"
    rows = []
    for name, value in sorted(known["image"]["config"].items()):
        if isinstance(value, dict):
            texts = [f"{key}={each}" if isinstance(each, str) else key for key, each in sorted(value.items())]
        else:
            texts = (
                [str(each) for each in value]
                if isinstance(value, list) and name == "Env"
                else [json.dumps(value, ensure_ascii=False)]
            )
        rows.append((_text(name), "<br>".join(map(_code, texts))))
    yield from _table(("Field", "Value"), rows)


# -- the rest --------------------------------------------------------------------------------------------------------------------


def _warnings(known: dict[str, Any]) -> Iterator[str]:
    if known["warnings"]:
        rows = []
        for each in known["warnings"]:
            where = ", ".join(str(part) for part in (each["rule"], f"line {each['line']}" if each["line"] else "") if part)
            rows.append((_text(where), _lines(each["text"]).replace("\n", "<br>")))
        yield "<h2>Warnings</h2>"
        yield from _table(("Rule", "Warning"), rows)


def _transfers(known: dict[str, Any]) -> Iterator[str]:
    if known["transfers"]:
        rows = [
            (
                _text(each["direction"]),
                _code(each["what"][:19]),
                _text(each["where"]),
                units.size(each["size"]),
                _text(each["how"]),
                *_span(each),
            )
            for each in known["transfers"]
        ]
        moved = sum(each["size"] for each in known["transfers"] if each["how"] == "moved")
        yield f"<h2>Transfers</h2>\n<details><summary>{_count(len(rows), 'transfer')}, {units.size(moved)} moved</summary>"
        yield from _table(("", "Blob", "Repository", "Size", "How", "Begun", "Time"), rows, numbers=(3, 5, 6))
        yield "</details>"


def _phases(known: dict[str, Any]) -> Iterator[str]:
    if known["phases"]:
        rows = [(_text(each["what"]) + (" (failed)" if each["failed"] else ""), *_span(each)) for each in known["phases"]]
        yield "<h2>Other work</h2>\n<details><summary>Unpacking, scanning and writing layers: "
        yield f"{_count(len(rows), 'piece')} of work</summary>"
        yield from _table(("What", "Begun", "Time"), rows, numbers=(1, 2))
        yield "</details>"


def _span(each: dict[str, Any]) -> tuple[str, str]:
    return units.seconds(each["start"]), units.seconds(each["seconds"]) if each["seconds"] is not None else "did not end"
