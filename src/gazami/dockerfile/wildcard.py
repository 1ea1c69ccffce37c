"""Wildcards matched in time linear in the text for every pattern: no backtracking. Pure.

Theory of operation: a pattern is a row of elements, and a set of positions in that row, one bit each in an integer, says how far
the text that was read so far can have come. Each character moves the whole set at once: elements that take the character pass
their bit on, those that repeat keep it, and what may match nothing passes its bit on for free. That is the textbook simulation of
a nondeterministic automaton (Thompson 1968; the bits are Baeza-Yates and Gonnet's), which Go's regexp does too.

``re`` is several times faster as long as little can be tried twice, so patterns with at most two repeating elements on short texts
(names and paths) stay there: see :func:`compiled`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

from gazami.values import fast_dataclass

Takes: TypeAlias = Callable[[str], bool]
Match: TypeAlias = Callable[[str], bool]

_SIMPLE = 2


@fast_dataclass(frozen=True, slots=True)
class Element:
    """``one`` takes a character, ``many`` any number of them, ``directories`` nothing or all up to some slash. ``char`` is the
    only one that a literal takes, ``regex`` says the same to ``re``."""

    kind: Literal["one", "many", "directories"]
    takes: Takes
    regex: str
    char: str | None = None


def _any(char: str) -> bool:
    return True


def _no_slash(char: str) -> bool:
    return char != "/"


ANY = Element("one", _any, ".")
ANY_BUT_SLASH = Element("one", _no_slash, "[^/]")
ALL = Element("many", _any, ".*")
ALL_BUT_SLASH = Element("many", _no_slash, "[^/]*")
DIRECTORIES = Element("directories", _any, "(?:.*/)?")


def literal(wanted: str) -> Element:
    return Element("one", _any, re.escape(wanted), wanted)


def one_of(ranges: Iterable[tuple[str, str]], *, negated: bool) -> Element:
    """A bracket class. One whose ranges are all empty takes nothing, and negated everything."""
    wanted = [(low, high) for low, high in ranges if low <= high]
    members = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in wanted)
    regex = f"[{'^' * negated}{members}]" if members else "." if negated else r"[^\s\S]"
    return Element("one", lambda char: any(low <= char <= high for low, high in wanted) is not negated, regex)


def compiled(elements: Iterable[Element]) -> Match:
    """Whether a whole name or path matches, as a function."""
    row = _without_repeats(elements)
    if sum(element.kind != "one" for element in row) <= _SIMPLE:
        found = re.compile("".join(element.regex for element in row) + r"\Z", re.DOTALL)
        return lambda text: found.match(text) is not None
    return Wildcard(row).matches


def _without_repeats(elements: Iterable[Element]) -> list[Element]:
    """What repeats twice in a row repeats once."""
    row: list[Element] = []
    for element in elements:
        if element.kind == "one" or not row or element != row[-1]:
            row.append(element)
    return row


class Wildcard:
    """A compiled pattern. What it remembers of characters only grows, so threads may share it."""

    def __init__(self, elements: Iterable[Element]) -> None:
        row = _without_repeats(elements)
        self._end = 1 << len(row)
        self._optional = _bits(number for number, element in enumerate(row) if element.kind != "one")
        self._directories = _bits(number for number, element in enumerate(row) if element.kind == "directories")
        self._literals: dict[str, list[int]] = {}
        groups: dict[tuple[str, Takes], list[int]] = {}
        for number, element in enumerate(row):
            if element.char is not None:
                self._literals.setdefault(element.char, []).append(number)
            elif element.kind != "directories":
                groups.setdefault((element.kind, element.takes), []).append(number)
        self._groups = [(kind, takes, _bits(numbers)) for (kind, takes), numbers in groups.items()]
        self._moves: dict[str, tuple[int, int]] = {}

    def _move(self, char: str) -> tuple[int, int]:
        """The elements that take a character and are done with it, and those that take it and go on."""
        found = self._moves.get(char)
        if found is None:
            ones, many = _bits(self._literals.get(char, ())), 0
            for kind, takes, bits in self._groups:
                if takes(char):
                    ones, many = (ones | bits, many) if kind == "one" else (ones, many | bits)
            found = self._moves[char] = ones, many
        return found

    def _for_free(self, places: int) -> int:
        """What is reached without a character: a carry runs from each bit through the optional elements after it."""
        optional = self._optional
        return places | (((places & optional) + optional) ^ optional)

    def ends(self, text: Sequence[str], start: int = 0, *, restart: bool = False) -> Iterator[int]:
        """The positions at which a match that begins at ``start`` ends, in order. ``restart``: or begins anywhere after it."""
        places = first = self._for_free(1)
        within = 0
        if places & self._end:
            yield start
        for at in range(start, len(text)):
            char = text[at]
            ones, many = self._move(char)
            within |= places & self._directories
            moved = ((places & ones) << 1) | (places & many)
            if within and char == "/":
                moved |= within << 1
            places = self._for_free(moved) if moved else 0
            if restart:
                places |= first
            elif not places and not within:
                return
            if places & self._end:
                yield at + 1

    def matches(self, text: str) -> bool:
        """Whether the whole text matches."""
        return any(end == len(text) for end in self.ends(text))


def _bits(numbers: Iterable[int]) -> int:
    found = 0
    for number in numbers:
        found |= 1 << number
    return found
