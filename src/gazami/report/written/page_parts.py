"""Pieces of ``report.html`` that its parts share. :func:`text` and :func:`lines` are the only ways of text into the page. Pure."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

from gazami.foreign import printable, printable_lines
from gazami.report import units


def text(value: object) -> str:
    return html.escape(printable(str(value)))


def lines(value: object) -> str:
    return html.escape(printable_lines(str(value)))


def code(value: object) -> str:
    return f"<code>{text(value)}</code>"


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], numbers: tuple[int, ...] = ()) -> Iterator[str]:
    """``rows`` are escaped already; ``numbers`` are the columns that end at the right."""
    marks = [' class="number"' if place in numbers else "" for place in range(len(heads))]
    yield (
        "<table><thead><tr>"
        + "".join(f"<th{mark}>{head}</th>" for mark, head in zip(marks, heads, strict=True))
        + "</tr></thead><tbody>"
    )
    for row in rows:
        yield "<tr>" + "".join(f"<td{mark}>{cell}</td>" for mark, cell in zip(marks, row, strict=True)) + "</tr>"
    yield "</tbody></table>"


def count(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{units.number(count)} {what}s"
