"""``.dockerignore`` as moby's matcher reads it (frontend reference, .dockerignore file). Pure.

Patterns are anchored at the context's root. A path is excluded when the last decisive pattern that matches it or one of its
parents is not an exception; results of a parent are kept for each pattern, so ``!dir/file`` works below excluded ``dir``.
"""

from __future__ import annotations

import posixpath
import re

from gazami.dockerfile.wildcard import ALL, ALL_BUT_SLASH, ANY_BUT_SLASH, DIRECTORIES, Element, Match, compiled, literal, one_of
from gazami.errors import DockerfileError, Source, Span
from gazami.values import fast_dataclass

_SPECIAL = re.compile(r"[*?\[\]\\]")


@fast_dataclass(frozen=True, slots=True)
class Pattern:
    """``text`` is cleaned and has no ``!``; ``exception`` says that it had one. ``parts`` are an exception's components."""

    text: str
    exception: bool
    matches: Match
    parts: tuple[Match | None, ...] = ()


@fast_dataclass(frozen=True, slots=True)
class Ignore:
    """The patterns of one file, in order."""

    patterns: tuple[Pattern, ...] = ()

    @property
    def has_exceptions(self) -> bool:
        return any(pattern.exception for pattern in self.patterns)

    def check(self, path: str, parent: tuple[bool, ...] | None = None) -> tuple[bool, tuple[bool, ...]]:
        """Whether ``path`` (relative to the root, no leading slash) is excluded, and what to pass for its children.

        ``parent`` is the second value of its directory; None means that it is not known.
        """
        excluded = False
        results: list[bool] = []
        above = None if parent else _parents(path)
        for number, pattern in enumerate(self.patterns):
            matched = parent[number] if parent else False
            if not matched:
                if pattern.exception != excluded:
                    results.append(False)
                    continue
                matched = pattern.matches(path)
                if not matched and above:
                    matched = any(pattern.matches(each) for each in above or ())
            results.append(matched)
            if matched:
                excluded = not pattern.exception
        return excluded, tuple(results)

    def excludes(self, path: str) -> bool:
        return self.check(path)[0]

    def may_include_below(self, directory: str) -> bool:
        """Whether an exception could bring back something below an excluded directory."""
        return any(pattern.exception and _may_match_below(pattern.parts, directory) for pattern in self.patterns)


def parse_ignore(text: str, name: str = ".dockerignore") -> Ignore:
    """Read an ignore file. Raises :class:`DockerfileError` for a malformed pattern."""
    source = Source(name, text)
    patterns: list[Pattern] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.startswith("#"):
            continue
        pattern = line.strip()
        if not pattern:
            continue
        try:
            patterns.append(parse_pattern(pattern))
        except DockerfileError as error:
            raise error.at(Span(number, number), source) from None
    return Ignore(tuple(patterns))


def ignore_of(texts: tuple[str, ...]) -> Ignore:
    """An :class:`Ignore` of separate patterns (``COPY --exclude``)."""
    return Ignore(tuple(parse_pattern(text) for text in texts if text.strip()))


def parse_pattern(text: str) -> Pattern:
    exception = text.startswith("!")
    if exception:
        text = text[1:].strip()
        if not text:
            raise DockerfileError('illegal exclusion pattern: "!"')
    text = posixpath.normpath(text)
    if text.startswith("/"):
        text = text.lstrip("/")
    return Pattern(text, exception, _matcher(text), _parts(text) if exception else ())


def _matcher(pattern: str) -> Match:
    row = elements(pattern)
    if pattern.startswith("**") and not _SPECIAL.search(pattern, 2):
        suffix = pattern[2:]
        return lambda path: path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])
    if pattern == ".":
        return lambda path: False
    return compiled(row)


def elements(pattern: str) -> list[Element]:
    """What a pattern consists of. ``**/`` is any number of directories. Raises :class:`DockerfileError`."""
    out: list[Element] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if pattern.startswith("*", at):
                at += 1
                if pattern.startswith("/", at):
                    at += 1
                out.append(ALL if at >= len(pattern) else DIRECTORIES)
            else:
                out.append(ALL_BUT_SLASH)
        elif char == "?":
            out.append(ANY_BUT_SLASH)
        elif char == "[":
            piece, at = _class(pattern, at)
            out.append(piece)
        elif char == "\\":
            if at >= len(pattern):
                raise DockerfileError(f"syntax error in pattern {pattern!r}: it ends with a backslash")
            out.append(literal(pattern[at]))
            at += 1
        else:
            out.append(literal(char))
    return out


def _class(pattern: str, at: int) -> tuple[Element, int]:
    """A bracket class as Go's filepath.Match reads it: ``^`` negates, ``]`` must be escaped to be a member."""
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[tuple[str, str]] = []
    while True:
        if at >= len(pattern):
            raise DockerfileError(f"syntax error in pattern {pattern!r}: a [ is not closed")
        if pattern[at] == "]" and ranges:
            return one_of(ranges, negated=negated), at + 1
        low, at = _class_char(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _class_char(pattern, at + 1)
        if low > high:  # filepath.Match takes it, but the matcher is built of regular expressions
            raise DockerfileError(f"syntax error in pattern {pattern!r}: the range {low}-{high} is empty")
        ranges.append((low, high))


def _class_char(pattern: str, at: int) -> tuple[str, int]:
    if at >= len(pattern) or pattern[at] in "-]":
        raise DockerfileError(f"syntax error in pattern {pattern!r}: a range in brackets is incomplete")
    if pattern[at] == "\\":
        at += 1
        if at >= len(pattern):
            raise DockerfileError(f"syntax error in pattern {pattern!r}: it ends with a backslash")
    return pattern[at], at + 1


def _parents(path: str) -> list[str]:
    return [path[:at] for at, char in enumerate(path) if char == "/"]


def _parts(pattern: str) -> tuple[Match | None, ...]:
    """A matcher for each component, None where the pattern may mean several of them."""
    found: list[Match | None] = []
    for part in pattern.split("/"):
        try:
            found.append(None if "**" in part else compiled(elements(part)))
        except DockerfileError:  # a class that holds a slash
            found.append(None)
    return tuple(found)


def _may_match_below(parts: tuple[Match | None, ...], directory: str) -> bool:
    for matches, name in zip(parts, directory.split("/"), strict=False):
        if matches is None:
            return True
        if not matches(name):
            return False
    return True  # the pattern is longer, or names the directory or a parent of it: everything below is meant
