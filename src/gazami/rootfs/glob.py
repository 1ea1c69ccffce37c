"""Sources with wildcards (Go's filepath.Match, component by component), resolved in a tree. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from gazami.errors import DockerfileError
from gazami.rootfs.tree import Node, Tree

_WILD = re.compile(r"[*?\[]")


def has_wildcard(source: str) -> bool:
    """Whether an unescaped ``*``, ``?`` or ``[`` stands in the text."""
    return _WILD.search(re.sub(r"\\.", "", source)) is not None


def unescaped(source: str) -> str:
    return re.sub(r"\\(.)", r"\1", source)


def glob(tree: Tree, source: str) -> Iterator[tuple[str, Node]]:
    """The matches in lexical order: ``(path as walked, node)``. A symlink that matches is given unfollowed."""
    parts = posixpath.normpath("/" + source).strip("/").split("/")
    literal = 0
    while literal < len(parts) and not has_wildcard(parts[literal]):
        literal += 1
    place = tree.resolve(unescaped("/".join(parts[:literal])))
    if place.node is not None:
        yield from _below(tree, place.path, place.node, [component(part) for part in parts[literal:]])


def _below(tree: Tree, base: str, node: Node, parts: list[re.Pattern[str]]) -> Iterator[tuple[str, Node]]:
    if not parts:
        yield base, node
        return
    for name in sorted(tree.children_of(node)):
        if parts[0].match(name):
            yield from _below(tree, f"{base}/{name}" if base else name, tree.children_of(node)[name], parts[1:])


def component(pattern: str) -> re.Pattern[str]:
    """One path component of Go's filepath.Match. Raises :class:`DockerfileError` for bad syntax."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            out.append(".*")
        elif char == "?":
            out.append(".")
        elif char == "\\":
            if at >= len(pattern):
                raise DockerfileError(f"syntax error in pattern {pattern!r}")
            out.append(re.escape(pattern[at]))
            at += 1
        elif char == "[":
            end = re.match(r"\^?(?:\\.|[^\]\\])+", pattern[at:])
            if not end or not pattern.startswith("]", at + end.end()):
                raise DockerfileError(f"syntax error in pattern {pattern!r}: a [ is not closed")
            body = end.group(0)
            negated = body.startswith("^")
            out.append(f"[{'^' * negated}{_members(body[negated:], pattern)}]")
            at += end.end() + 1
        else:
            out.append(re.escape(char))
    return re.compile("".join(out) + r"\Z", re.DOTALL)


def _members(body: str, pattern: str) -> str:
    chars = [match.group(0)[-1] if match.group(0) != "-" else None for match in re.finditer(r"\\.|.", body, re.DOTALL)]
    out: list[str] = []
    at = 0
    while at < len(chars):
        low = chars[at]
        if low is None:
            raise DockerfileError(f"syntax error in pattern {pattern!r}: a range is not complete")
        if at + 1 < len(chars) and chars[at + 1] is None:
            high = chars[at + 2] if at + 2 < len(chars) else None
            if high is None:
                raise DockerfileError(f"syntax error in pattern {pattern!r}: a range is not complete")
            if low <= high:
                out.append(f"{re.escape(low)}-{re.escape(high)}")
            at += 3
        else:
            out.append(re.escape(low))
            at += 1
    return "".join(out) or "^\\s\\S"
