"""The position in a pod's log, so that reading can go on after a cut without repetitions. Pure.

The log is read anew from its start each time: "since" has whole seconds, or the clocks of two machines, and a log is at most as
long as the kubelet keeps it. Records have numbers, which identify them without clocks; other lines (of the runtime, of a crash) are
identified by their time stamp and how many had the same one before.
"""

from __future__ import annotations

import re
from typing import Protocol

from gazami.foreign import read_json

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)\Z")


class Decoded(Protocol):
    @property
    def number(self) -> int: ...


class Decode(Protocol):
    def __call__(self, line: str, /) -> Decoded | None: ...


class Position:
    """Feed it the lines of each reading in order; :meth:`begin` before each."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._last_number = 0
        self._last_stamp, self._count = "", 0
        self._again = 0
        self._unstamped: set[str] = set()
        self.lost = 0
        """Records that were gone from the log before they could be read."""

    def begin(self) -> None:
        self._again = 0

    def take(self, line: str, *, final: bool = False) -> str | None:
        """The text of a line that is new, else None. A line that a cut left incomplete is not taken, unless the log is
        ``final``."""
        stamp, space, text = line.partition(" ")
        if not space:
            return None
        if not _STAMP.match(stamp):  # the kubelet's own words about a log that it cannot read
            if line in self._unstamped:
                return None
            self._unstamped.add(line)
            return line
        found = self._decode(text)
        if found is not None:
            if found.number <= self._last_number:
                return None
            self.lost += found.number - self._last_number - 1
            self._last_number = found.number
            return text
        if text.startswith("{") and not final and not _is_json(text):
            return None
        return text if self._is_new(_comparable(stamp)) else None

    def _is_new(self, stamp: str) -> bool:
        if stamp < self._last_stamp:
            return False
        if stamp > self._last_stamp:
            self._last_stamp, self._count, self._again = stamp, 1, 1
            return True
        self._again += 1
        if self._again <= self._count:
            return False
        self._count = self._again
        return True


def _comparable(stamp: str) -> str:
    """RFC 3339 with nine digits of the second: some runtimes leave zeros out."""
    seconds, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{seconds}.{fraction:0<9}"


def _is_json(text: str) -> bool:
    try:
        read_json(text)
    except ValueError:
        return False
    return True
