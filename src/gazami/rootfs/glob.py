"""Sources with wildcards (Go's filepath.Match, component by component), resolved in a tree. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from gazami.dockerfile.wildcard import ALL, ANY, Element, Match, compiled, literal, one_of
from gazami.errors import DockerfileError
from gazami.rootfs.tree import Node, Tree

_WILD = re.compile(r"[*?\[]")
_CLASS = re.compile(r"\^?(?:\\.|[^\]\\])+")


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


def _below(tree: Tree, base: str, node: Node, parts: list[Match]) -> Iterator[tuple[str, Node]]:
    todo = [(base, node, 0)]
    while todo:
        base, node, depth = todo.pop()
        if depth == len(parts):
            yield base, node
            continue
        for name, child in sorted(tree.children_of(node).items(), reverse=True):
            if parts[depth](name):
                todo.append((f"{base}/{name}" if base else name, child, depth + 1))


def component(pattern: str) -> Match:
    """One path component of Go's filepath.Match. Raises :class:`DockerfileError` for bad syntax."""
    out: list[Element] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            out.append(ALL)
        elif char == "?":
            out.append(ANY)
        elif char == "\\":
            if at >= len(pattern):
                raise DockerfileError(f"syntax error in pattern {pattern!r}")
            out.append(literal(pattern[at]))
            at += 1
        elif char == "[":
            end = _CLASS.match(pattern, at)
            if not end or not pattern.startswith("]", end.end()):
                raise DockerfileError(f"syntax error in pattern {pattern!r}: a [ is not closed")
            body = end.group(0)
            negated = body.startswith("^")
            out.append(one_of(_ranges(body[negated:], pattern), negated=negated))
            at = end.end() + 1
        else:
            out.append(literal(char))
    return compiled(out)


def _ranges(body: str, pattern: str) -> list[tuple[str, str]]:
    chars = [match.group(0)[-1] if match.group(0) != "-" else None for match in re.finditer(r"\\.|.", body, re.DOTALL)]
    out: list[tuple[str, str]] = []
    at = 0
    while at < len(chars):
        low = chars[at]
        if low is None:
            raise DockerfileError(f"syntax error in pattern {pattern!r}: a range is not complete")
        high: str | None = low
        if at + 1 < len(chars) and chars[at + 1] is None:
            high = chars[at + 2] if at + 2 < len(chars) else None
            at += 2
        if high is None:
            raise DockerfileError(f"syntax error in pattern {pattern!r}: a range is not complete")
        out.append((low, high))
        at += 1
    return out
