"""Text in a terminal's cells: how wide it is, and cut to fit. Pure."""

from __future__ import annotations

import unicodedata


def cells(text: str) -> int:
    """Columns that a text takes: two for wide letters, none for what joins the one before."""
    if text.isascii():
        return len(text)
    return sum(_cells(letter) for letter in text)


def _cells(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def fitted(text: str, width: int) -> str:
    """The text on one line, cut with ``…`` where it is wider."""
    text = text.replace("\t", " ").rstrip()
    if cells(text) <= width:
        return text
    if width < 1:
        return ""
    used, kept = 1, 0
    for letter in text:
        used += _cells(letter)
        if used > width:
            break
        kept += 1
    return text[:kept].rstrip() + "…"


def right(text: str, end: str, width: int) -> str:
    """``text`` at the left, ``end`` at the right, which is whole as long as there is room for it."""
    end = fitted(end, width)
    room = width - cells(end) - 1
    if room < 4:
        return end
    text = fitted(text, room)
    return f"{text}{' ' * (room - cells(text) + 1)}{end}"


def folded(text: str, width: int) -> list[str]:
    """The text in lines of a width, broken at blanks where there are some. A word that is wider stays whole: a digest or an address
    is copied."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line and cells(longer) > width:
                lines.append(line)
                longer = f"  {word}"
            line = longer
        lines.append(line)
    return lines
