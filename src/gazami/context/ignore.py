"""``.dockerignore`` as moby's matcher reads it (frontend reference, .dockerignore file). Pure.

Patterns are anchored at the context's root. A path is excluded when the last decisive pattern that matches it or one of its
parents is not an exception; results of a parent are kept for each pattern, so ``!dir/file`` works below excluded ``dir``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass

from gazami.errors import DockerfileError, Source, Span

Match = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Pattern:
    """``text`` is cleaned and has no ``!``; ``exception`` says that it had one."""

    text: str
    exception: bool
    matches: Match


@dataclass(frozen=True, slots=True)
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
        for number, pattern in enumerate(self.patterns):
            matched = parent[number] if parent else False
            if not matched:
                if pattern.exception != excluded:
                    results.append(False)
                    continue
                matched = pattern.matches(path)
                if not matched and not parent:
                    matched = any(pattern.matches(above) for above in _parents(path))
            results.append(matched)
            if matched:
                excluded = not pattern.exception
        return excluded, tuple(results)

    def excludes(self, path: str) -> bool:
        return self.check(path)[0]

    def may_include_below(self, directory: str) -> bool:
        """Whether an exception could bring back something below an excluded directory."""
        return any(pattern.exception and _may_match_below(pattern.text, directory) for pattern in self.patterns)


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
    return Pattern(text, exception, _matcher(text))


def _matcher(pattern: str) -> Match:
    expression = pattern_regex(pattern)
    try:
        compiled = re.compile(expression + r"\Z", re.DOTALL)
    except re.error as cause:
        raise DockerfileError(f"syntax error in pattern {pattern!r}: {cause}") from cause
    if pattern.startswith("**") and not re.search(r"[*?\[\]\\]", pattern[2:]):
        suffix = pattern[2:]
        return lambda path: path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])
    if pattern == ".":
        return lambda path: False
    return lambda path: compiled.match(path) is not None


def pattern_regex(pattern: str) -> str:
    """The regular expression of a pattern, without anchors. ``**/`` is any number of directories."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if pattern.startswith("*", at):
                at += 1
                if pattern.startswith("/", at):
                    at += 1
                out.append(".*" if at >= len(pattern) else "(?:.*/)?")
            else:
                out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            piece, at = _class(pattern, at)
            out.append(piece)
        elif char == "\\":
            if at >= len(pattern):
                raise DockerfileError(f"syntax error in pattern {pattern!r}: it ends with a backslash")
            out.append(re.escape(pattern[at]))
            at += 1
        else:
            out.append(re.escape(char))
    return "".join(out)


def _class(pattern: str, at: int) -> tuple[str, int]:
    """A bracket class as Go's filepath.Match reads it: ``^`` negates, ``]`` must be escaped to be a member."""
    negated = pattern.startswith("^", at)
    at += negated
    members: list[str] = []
    while True:
        if at >= len(pattern):
            raise DockerfileError(f"syntax error in pattern {pattern!r}: a [ is not closed")
        if pattern[at] == "]" and members:
            return f"[{'^' * negated}{''.join(members)}]", at + 1
        low, at = _class_char(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _class_char(pattern, at + 1)
        if low <= high:
            members.append(re.escape(low) if low == high else f"{re.escape(low)}-{re.escape(high)}")
        else:
            members.append("")  # an empty range is legal and matches nothing


def _class_char(pattern: str, at: int) -> tuple[str, int]:
    if at >= len(pattern) or pattern[at] in "-]":
        raise DockerfileError(f"syntax error in pattern {pattern!r}: a range in brackets is not complete")
    if pattern[at] == "\\":
        at += 1
        if at >= len(pattern):
            raise DockerfileError(f"syntax error in pattern {pattern!r}: it ends with a backslash")
    return pattern[at], at + 1


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _may_match_below(pattern: str, directory: str) -> bool:
    wanted, have = pattern.split("/"), directory.split("/")
    for index, part in enumerate(wanted):
        if part.startswith("**") or "**" in part:
            return True
        if index >= len(have):
            return True
        if not re.match(pattern_regex(part) + r"\Z", have[index], re.DOTALL):
            return False
    return True  # the pattern names the directory or a parent of it: everything below is meant
