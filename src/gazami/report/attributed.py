"""RUN output as lines that say whose they are: ``[build 2/5] 3.1s │ text``. Pure.

A line is what a terminal would show of it in the end: of what a progress bar wrote over and over, the last. Colors stay where the
log has colors; nothing else in it steers a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gazami.foreign import printable

BAR = " │ "
_COLOR = re.compile(r"(\x1b\[[0-9;]*m)")
_RESET = "\x1b[0m"
_UNUSUAL = re.compile(r"[^\t\n\x20-\x7e\xa0-\u061b\u061d-\u1fff\u2010-\u2027\u2030-\u205f\u2070-\ud7ff]")
"""Everything but letters that are surely harmless."""


def attributed(lines: Sequence[bytes], label: str, seconds: float, *, colored: bool) -> str:
    """Lines without newlines → text with them; ``seconds`` since the step began."""
    if not lines:
        return ""
    head = f"{label} {seconds:.1f}s{BAR}"
    text = b"\n".join(lines).decode("utf-8", "replace")
    if _UNUSUAL.search(text):
        text = "\n".join(shown(line, colored=colored) for line in text.split("\n"))
    return head + text.replace("\n", f"\n{head}") + "\n"


def shown(line: str, *, colored: bool = False) -> str:
    """A line as a terminal shows it in the end."""
    line = line.rstrip("\r").rpartition("\r")[2]
    if not colored or "\x1b" not in line:
        return printable(line)
    pieces = _COLOR.split(line)  # texts and colors in turn
    found = "".join(piece if number % 2 else printable(piece) for number, piece in enumerate(pieces))
    return found + _RESET if len(pieces) > 1 else found
