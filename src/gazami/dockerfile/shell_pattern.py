"""``${x#p}``, ``${x%p}`` and ``${x/p/r}``: patterns of ``*`` and ``?`` on values, as BuildKit's lexer has them. Pure.

Values may be as long as 128 KiB, so everything here reads its text once: see :mod:`gazami.dockerfile.wildcard`. No bracket
classes; ``.`` of the regular expressions that BuildKit makes of them takes everything but the end of a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gazami.dockerfile.wildcard import Element, Wildcard, literal
from gazami.errors import DockerfileError


def _in_line(char: str) -> bool:
    return char != "\n"


_ONE = Element("one", _in_line, ".")
_MANY = Element("many", _in_line, ".*")
_TEMPLATE = re.compile(r"\$(\$|\w+|\{\w+\})")


def stripped(value: str, pattern: str, side: str, *, greedy: bool) -> str:
    """The value without what the pattern matches at its start (``#``) or end (``%``), the longest match if ``greedy``."""
    row = _elements(pattern)
    if side == "%":
        return _without_start(value[::-1], row[::-1], greedy=greedy)[::-1]
    return _without_start(value, row, greedy=greedy)


def _without_start(value: str, row: list[Element], *, greedy: bool) -> str:
    ends = Wildcard(row).ends(value)
    return value[max(ends, default=0) if greedy else next(ends, 0) :]


def replaced(value: str, pattern: str, replacement: str, *, every: bool) -> Iterator[str]:
    """The pieces of the value with the first match (or all) replaced: the leftmost, and of those the longest.

    Reading the text backwards finds the positions where a match can begin. From each, the longest match is found by reading on;
    with a ``*`` in the pattern there is no second one in what was read. As in Go's ReplaceAllString an empty match right after
    another one is none, and ``$0`` in the replacement of all stands for what matched.
    """
    row = _elements(pattern)
    forward, backward = Wildcard(row), Wildcard(row[::-1])
    starts = [len(value) - end for end in backward.ends(value[::-1], restart=True)]
    at, last = 0, -1
    for start in reversed(starts):
        if start < at:
            continue
        end = max(forward.ends(value, start))
        if start == end == last:
            continue
        yield value[at:start]
        if every:
            yield from _go_template(replacement, value[start:end])
        else:
            yield replacement
            at = end
            break
        at = last = end
    yield value[at:]


def _elements(pattern: str) -> list[Element]:
    """Raises :class:`DockerfileError` for an escape that is none."""
    out: list[Element] = []
    chars = iter(pattern)
    for char in chars:
        if char == "*":
            out.append(_MANY)
        elif char == "?":
            out.append(_ONE)
        elif char == "\\":
            escaped = next(chars, "")
            if escaped not in ("*", "?", "\\", "}", "/"):
                raise DockerfileError(f"invalid escape '\\{escaped}' in pattern")
            out.append(literal(escaped))
        else:
            out.append(literal(char))
    return out


def _go_template(template: str, whole: str) -> Iterator[str]:
    """What Go's ReplaceAllString makes of a replacement when the expression has no groups."""
    at = 0
    for found in _TEMPLATE.finditer(template):
        name = found.group(1)
        yield template[at : found.start()]
        yield "$" if name == "$" else whole if name.strip("{}") == "0" else ""
        at = found.end()
    yield template[at:]
