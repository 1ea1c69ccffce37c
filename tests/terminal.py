"""A terminal as far as gazami's live view uses one: what a person sees after bytes were written and windows were resized.

It breaks lines when it becomes narrower, as VTE, tmux, kitty and iTerm do. An escape sequence that it does not know is an error.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)|(\x1b)")


class Terminal:
    """``lines`` are those of the window and of what scrolled out above it; the cursor is at a column of one of them."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.lines = [""]
        self.row = self.column = 0
        self.cursor = True
        self.colors: set[str] = set()

    @property
    def top(self) -> int:
        """The first line of the window."""
        return max(0, len(self.lines) - self.height)

    def write(self, data: bytes) -> None:
        for parameters, final, control, text, unknown in _TOKEN.findall(data.decode()):
            assert not unknown
            if final:
                self._sequence(parameters, final)
            elif control == "\r":
                self.column = 0
            elif control == "\n":
                self.row, self.column = self.row + 1, 0
                if self.row == len(self.lines):
                    self.lines.append("")
            else:
                self._put(text)

    def _put(self, text: str) -> None:
        while text:
            if self.column >= self.width:
                self.row, self.column = self.row + 1, 0
                self.lines.insert(self.row, "")
            piece, text = text[: self.width - self.column], text[self.width - self.column :]
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + piece + line[self.column + len(piece) :]
            self.column += len(piece)

    def _sequence(self, parameters: str, final: str) -> None:
        match final, parameters:
            case "A", _:
                self.row = max(self.top, self.row - int(parameters or 1))
            case "K", "":
                self.lines[self.row] = self.lines[self.row][: self.column]
            case "K", "2":
                self.lines[self.row] = ""
            case "J", "":
                assert (self.row, self.column) != (self.top, 0), "tmux would keep the screen"
                self.lines[self.row] = self.lines[self.row][: self.column]
                del self.lines[self.row + 1 :]
            case "m", _:
                self.colors.add(parameters)
            case (("h" | "l"), "?25"):
                self.cursor = final == "h"
            case _:
                raise AssertionError(f"unknown sequence {parameters}{final}")

    def resize(self, width: int, height: int) -> None:
        assert self.column == 0, "the cursor rests below the area"
        below = len(self.lines) - self.row
        self.width, self.height = width, height
        self.lines = [line[at : at + width] for line in self.lines for at in range(0, max(1, len(line)), width)]
        self.row = len(self.lines) - below

    @property
    def seen(self) -> list[str]:
        return [line.rstrip() for line in self.lines if line.strip()]
