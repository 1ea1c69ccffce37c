"""The matchers as they were, by translation to backtracking regular expressions: the oracle of the linear ones."""

from __future__ import annotations

import re


def ignore_regex(pattern: str) -> str:
    """moby's patternmatcher, without anchors. The pattern is a legal one."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if pattern.startswith("*", at):
                at += 1
                at += pattern.startswith("/", at)
                out.append(".*" if at >= len(pattern) else "(?:.*/)?")
            else:
                out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            end = pattern.index("]", at)
            out.append(f"[{pattern[at:end]}]")
            at = end + 1
        elif char == "\\":
            out.append(re.escape(pattern[at]))
            at += 1
        else:
            out.append(re.escape(char))
    return "".join(out)


def name_regex(pattern: str) -> str:
    """Go's filepath.Match for one component."""
    one_star = re.sub(r"(\\.)|\*+", lambda found: found[1] or "*", pattern)  # an escaped one is no star
    return ignore_regex(one_star).replace("[^/]*", ".*").replace("[^/]", ".")


def shell_regex(pattern: str, *, greedy: bool) -> str:
    """BuildKit's convertShellPatternToRegex."""
    out: list[str] = []
    chars = iter(pattern)
    for char in chars:
        if char == "*":
            out.append(".*" if greedy else ".*?")
        elif char == "?":
            out.append(".")
        else:
            out.append(re.escape(next(chars) if char == "\\" else char))
    return "".join(out)


def strip(value: str, pattern: str, side: str, *, greedy: bool) -> str:
    if side == "#":
        found = re.match(shell_regex(pattern, greedy=greedy), value)
        return value[found.end() :] if found else value
    expression = re.compile(shell_regex(pattern, greedy=True))
    starts = range(len(value) + 1) if greedy else range(len(value), -1, -1)
    for start in starts:
        if expression.fullmatch(value, start):
            return value[:start]
    return value


def replace(value: str, pattern: str, replacement: str, *, every: bool) -> str:
    """Go's ReplaceAllString, for which an empty match right after another one is none."""
    expression = re.compile(shell_regex(pattern, greedy=True))
    out, at, last = [], 0, -1
    for found in expression.finditer(value):
        start, end = found.span()
        if start == end == last:
            continue
        out += [value[at:start], replacement]
        at = last = end
        if not every:
            break
    return "".join([*out, value[at:]])
