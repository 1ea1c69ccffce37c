"""Findings of build checks for people: blocks with excerpts, or a line for each. Pure.

A Dockerfile's own text cannot move a terminal's cursor: control characters are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gazami.dockerfile.rules import Finding
from gazami.errors import Source
from gazami.foreign import printable, printable_lines
from gazami.report.excerpt import excerpt
from gazami.report.findings import FORMATS, Checked

_BOLD, _RED, _YELLOW, _GREEN = "1", "1;31", "1;33", "32"


class RenderText(Protocol):
    def __call__(self, files: Sequence[Checked], *, colored: bool = False) -> str: ...


def as_text(files: Sequence[Checked], *, colored: bool = False) -> str:
    """Blocks as ``docker build --check`` prints them, file by file; in each the mistakes that end a build come last."""
    blocks = [
        _block(finding, file.source, colored=colored)
        for file in files
        for level in ("warning", "error")
        for finding in file.findings
        if finding.level == level
    ]
    return "\n".join([_head(files, colored=colored), *(f"\n{block}" for block in blocks)]) + "\n"


def _head(files: Sequence[Checked], *, colored: bool) -> str:
    levels = [finding.level for file in files for finding in file.findings]
    count, failed = levels.count("warning"), "error" in levels
    where = ""
    if len(files) > 1:
        bad = sum(bool(file.findings) for file in files)
        where = f" in {bad} of {len(files)} files" if bad else f" in {len(files)} files"
    if count == 0:
        text = f"Check failed{where}." if failed else f"Check complete, no warnings found{where}."
    else:
        found = "1 warning has been found" if count == 1 else f"{count} warnings have been found"
        text = f"Check {'failed' if failed else 'complete'}, {found}{where}!"
    return _painted(text, _RED if failed else _YELLOW if count else _GREEN, colored=colored)


def _block(finding: Finding, source: Source, *, colored: bool) -> str:
    url = f" - {finding.url}" if finding.url else ""
    warns = finding.level == "warning"
    title = _painted(f"WARNING: {finding.rule}" if warns else "ERROR", _YELLOW if warns else _RED, colored=colored)
    head, *rows = printable_lines(excerpt(source, finding.span)).split("\n")
    rows = [_painted(row, _BOLD, colored=colored and "| >>>" in row[:12]) for row in rows]
    return "\n".join([f"{title}{url}", printable_lines(finding.detail), _painted(head, _BOLD, colored=colored), *rows])


def as_concise(files: Sequence[Checked], *, colored: bool = False) -> str:
    """``file:line:column: RULE text``, a line for each finding in the order of the text; nothing where there are none."""
    return "".join(
        f"{_painted(printable(file.source.name), _BOLD, colored=colored)}:{each.span.start}:{_column(each, file.source)}: "
        f"{_painted(each.rule, _YELLOW if each.level == 'warning' else _RED, colored=colored)} {printable(each.detail)}\n"
        for file in files
        for each in file.findings
    )


def _column(finding: Finding, source: Source) -> int:
    """Where the text of the first line begins, from 1."""
    lines = source.text.split("\n")
    line = lines[finding.span.start - 1] if finding.span.start <= len(lines) else ""
    return len(line) - len(line.lstrip()) + 1 if line.strip() else 1


def _painted(text: str, color: str, *, colored: bool) -> str:
    return f"\x1b[{color}m{text}\x1b[0m" if colored else text


TEXTS: dict[str, RenderText] = {"text": as_text, "concise": as_concise}


def render(form: str, files: Sequence[Checked], *, colored: bool) -> str:
    """The findings in a form of ``TEXTS`` or ``FORMATS``."""
    if form in TEXTS:
        return TEXTS[form](files, colored=colored)
    machine: Callable[[Sequence[Checked]], str] = FORMATS[form]
    return machine(files)
