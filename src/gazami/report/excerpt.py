"""An error as text: the lines of the Dockerfile, what happened, the cause and what to do next."""

from __future__ import annotations

import re

from gazami.errors import GazamiError, SeveralErrors, Source, Span, UsageError
from gazami.foreign import printable_lines
from gazami.report.line import Line

_RULE = "-" * 20
_CONTEXT = 2
_LONGEST = 16


def excerpt(source: Source, span: Span) -> str:
    """The lines of ``span`` marked with ``>>>`` and two lines around them, in BuildKit's form.

    The middle of a span of more than 16 lines is left out. A span outside of the text gives only ``name:line``.
    """
    lines = source.text.splitlines()
    head = f"{source.name}:{span.start}"
    if not 1 <= span.start <= len(lines):
        return head
    end = min(max(span.end, span.start), len(lines))
    first, last = max(1, span.start - _CONTEXT), min(len(lines), end + _CONTEXT)
    rows: list[str] = []
    for number in range(first, last + 1):
        if end - span.start >= _LONGEST and span.start + _LONGEST - 4 <= number <= end - 2:
            if number == end - 2:
                rows.append("     | ...")
            continue
        mark = ">>>" if span.start <= number <= end else "   "
        rows.append(f" {number:3d} | {mark} {lines[number - 1].rstrip()}".rstrip())
    return "\n".join([head, _RULE, *rows, _RULE])


_CONNECTION = re.compile(r"\A\w+\(host=[^)]*\): ")
"""How urllib3 begins the text of a connection's error: with the object."""


def causes(error: BaseException) -> list[str]:
    """What the errors say that led to this one, outermost first, without repetitions of what is said already."""
    said = str(error)
    found: list[str] = []
    cause = error.__cause__
    while cause is not None and len(found) < 5:
        text = _CONNECTION.sub("", str(cause)) or type(cause).__name__
        if text not in said:
            found.append(text)
            said += text
        cause = cause.__cause__
    return found


def failure(error: GazamiError, failed: str = "error building image") -> Line:
    """The error as one line of the log; its text has the excerpt first and the hint last. Of several, one follows the other."""
    if isinstance(error, SeveralErrors):
        return _failures(error, failed)
    prefix = "Error" if isinstance(error, UsageError) and error.span is None else failed
    parts = [excerpt(error.source, error.span)] if error.source and error.span else []
    parts.append(f"{prefix}: {error.message}")
    parts += [f"caused by: {cause}" for cause in causes(error)]
    if error.hint:
        parts.append(f"hint: {error.hint}")
    facts: dict[str, object] = {"error": type(error).__name__, "causes": [printable_lines(each) for each in causes(error)]}
    if error.hint:
        facts["hint"] = printable_lines(error.hint)
    if error.source and error.span:
        facts |= {"file": printable_lines(error.source.name), "line": error.span.start}
    for name in ("url", "status"):
        if (value := getattr(error, name, None)) is not None:
            facts[name] = value
    return Line("error", printable_lines("\n".join(parts)), facts, brief=printable_lines(error.message))


def _failures(error: SeveralErrors, failed: str) -> Line:
    lines = [failure(each, failed) for each in error.errors]
    summary = f"{failed}: {error.message}"
    facts: dict[str, object] = {"error": type(error).__name__, "errors": [{"message": line.brief, **line.facts} for line in lines]}
    text = "\n\n".join([*(line.text for line in lines), summary])
    return Line("error", text, facts, brief="; ".join([error.message, *(line.brief or "" for line in lines)]))
