"""The area below the log on a terminal: drawn again and again in place, whatever the window's size has become meanwhile.

Theory: the cursor rests below the area. To draw it again, the cursor goes up as many rows as it has, each row is written over, and
what is left below goes. A terminal that became narrower has broken its lines (VTE, tmux, kitty, iTerm and others do), so the rows
are counted with the width that the terminal has now, not the one that they were drawn with. What lies above the window cannot be
erased. Nothing is ever erased from the first cell of the window to its end: tmux keeps such a screen in its history.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import BinaryIO

from gazami.report.fitting import cells
from gazami.report.view import Row, Style

_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_RESET = "\x1b[0m"
_LINE, _REST_OF_LINE, _BELOW = "\x1b[2K", "\x1b[K", "\x1b[J"
_COLORS: dict[Style, str] = {
    "": "", "head": "1", "running": "", "waiting": "90", "output": "2", "work": "36", "done": "32", "cached": "34",
    "cancelled": "90", "failed": "31", "warning": "33",
}  # fmt: skip
"""SGR parameters by state."""


class Screen:
    """Not thread-safe. A stream that is closed ends no build."""

    def __init__(self, stream: BinaryIO, *, colored: bool) -> None:
        self._stream, self._colored = stream, colored
        self._drawn: list[int] = []
        """The widths of the lines of the area."""
        self._hidden = False

    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal; 80 and 24 where it does not say."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found = os.get_terminal_size(self._stream.fileno())
            if found.columns and found.lines:
                return found.columns, found.lines
        return 80, 24

    def draw(self, rows: Sequence[Row], above: Sequence[Row] = ()) -> None:
        """Show ``rows`` as the area, after ``above`` has been written where it was."""
        parts = [self._up()]
        parts += [f"{self._styled(row)}{_REST_OF_LINE}\n" for row in above]
        if rows and not self._hidden:
            parts.append(_HIDE)
            self._hidden = True
        parts += [f"{self._styled(row)}{_REST_OF_LINE}\n" for row in rows]
        if self._drawn:
            parts.append(_BELOW)
        self._drawn = [cells(text) for text, _ in rows]
        self._write("".join(parts))

    def close(self) -> None:
        """The area goes, the cursor comes back."""
        self._write(f"\x1b[1A{_LINE}" * self._rows() + (_SHOW if self._hidden else ""))
        self._drawn, self._hidden = [], False

    def _rows(self) -> int:
        """How many rows the area takes now."""
        width, height = self.size()
        return min(sum(max(1, -(-length // width)) for length in self._drawn), height - 1)

    def _up(self) -> str:
        rows = self._rows()
        return f"\r\x1b[{rows}A" if rows else ""

    def _styled(self, row: Row) -> str:
        text, style = row
        color = _COLORS[style] if self._colored else ""
        return f"\x1b[{color}m{text}{_RESET}" if color and text else text

    def _write(self, text: str) -> None:
        if text:
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(text.encode("utf-8", "replace"))
                self._stream.flush()
