"""Text to logical lines: directives, comments, continuations and here-document bodies (frontend reference, format).

A :class:`Line` is one instruction's text on one line, with the physical lines that it came from.
"""

from __future__ import annotations

import json
import re

from gazami.dockerfile.heredoc import Heredoc, ends, heredocs_of
from gazami.errors import DockerfileError, Source, Span
from gazami.values import fast_dataclass, replace

MAX_LINE = 65535
"""Bytes of a physical line, the limit of BuildKit's scanner."""

_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_DIRECTIVE = re.compile(r"#[ \t\v\f\r]*([A-Za-z][A-Za-z0-9]*)[ \t\v\f\r]*=[ \t\v\f\r]*(.+)\Z")
_KNOWN = frozenset({"syntax", "escape", "check"})
_HEREDOC_KEYWORDS = frozenset({"RUN", "COPY", "ADD"})


@fast_dataclass(frozen=True, slots=True)
class Line:
    """``comments`` are the texts of the comment lines directly above; ``empty_lines`` are the numbers of the blank
    lines that interrupt it."""

    text: str
    span: Span
    comments: tuple[str, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()
    empty_lines: tuple[int, ...] = ()


@fast_dataclass(frozen=True, slots=True)
class Lines:
    """``directives`` are ``(name, value, line number)``."""

    lines: tuple[Line, ...]
    escape: str
    directives: tuple[tuple[str, str, int], ...]


def read_lines(source: Source) -> Lines:
    """Split a Dockerfile into logical lines. Raises :class:`DockerfileError`."""
    text = source.text.removeprefix("\ufeff")
    if not text:
        raise DockerfileError("the Dockerfile cannot be empty", source=source)
    physical = text.split("\n")
    if physical and not physical[-1]:
        physical.pop()
    for number, line in enumerate(physical, 1):
        if len(line) > MAX_LINE // 4 and len(line.encode("utf-8", "surrogateescape")) > MAX_LINE:
            raise DockerfileError(
                "dockerfile line greater than max allowed size of 65535", span=Span(number, number), source=source
            )
    directives = _directives(physical, source)
    escape = next((value for name, value, _ in directives if name == "escape"), "\\")
    reader = _LineReader(physical, escape, source)
    return Lines(tuple(reader.read()), escape, directives)


def _directives(physical: list[str], source: Source) -> tuple[tuple[str, str, int], ...]:
    found: list[tuple[str, str, int]] = []
    for number, line in enumerate(physical, 1):
        match = _DIRECTIVE.match(line.strip(_SPACE))
        if not match or match.group(1).lower() not in _KNOWN:
            break
        name, value = match.group(1).lower(), match.group(2)
        if any(name == seen for seen, _, _ in found):
            raise DockerfileError(f"only one {name} parser directive can be used", span=Span(number, number), source=source)
        if name == "escape" and value not in ("\\", "`"):
            raise DockerfileError(f"invalid ESCAPE {value!r}. Must be ` or \\", span=Span(number, number), source=source)
        found.append((name, value, number))
    return tuple(found)


class _LineReader:
    def __init__(self, physical: list[str], escape: str, source: Source) -> None:
        self.physical, self.escape, self.source = physical, escape, source
        esc = re.escape(escape)
        self.continuation = re.compile(rf"(?:(?<!{esc}){esc}|^{esc})[ \t]*\Z")
        self.at = 0

    def read(self) -> list[Line]:
        out: list[Line] = []
        comments: list[str] = []
        while self.at < len(self.physical):
            line = self.physical[self.at].rstrip("\r")
            stripped = line.lstrip(_SPACE)
            if stripped.startswith("#"):
                text = stripped[1:].strip(_SPACE)
                if text:
                    comments.append(text)
                else:
                    comments.clear()
                self.at += 1
            elif not stripped:
                self.at += 1
            else:
                out.append(replace(self._logical(stripped), comments=tuple(comments)))
                comments = []
        return [line for line in out if line.text.strip(_SPACE)]

    def _logical(self, first: str) -> Line:
        start = self.at
        part, more = self._joined(first)
        parts = [part]
        self.at += 1
        empty: list[int] = []
        while more and self.at < len(self.physical):
            line = self.physical[self.at].rstrip("\r")
            self.at += 1
            stripped = line.strip(_SPACE)
            if stripped.startswith("#"):
                continue
            if not stripped:
                empty.append(self.at)
                continue
            part, more = self._joined(line)
            parts.append(part)
        text = "".join(parts)
        heredocs = self._bodies(text, start)
        return Line(text, Span(start + 1, self.at), heredocs=heredocs, empty_lines=tuple(empty))

    def _joined(self, line: str) -> tuple[str, bool]:
        found = self.continuation.search(line)
        return (line[: found.start()], True) if found else (line, False)

    def _bodies(self, text: str, start: int) -> tuple[Heredoc, ...]:
        if not _may_have_heredocs(text):
            return ()
        try:
            announced = heredocs_of(text)
        except DockerfileError as error:
            raise error.at(Span(start + 1, self.at), self.source) from None
        found: list[Heredoc] = []
        for heredoc in announced:
            if heredoc.apart and not any(ends(line, heredoc) for line in self.physical[self.at :]):
                continue
            body: list[str] = []
            while True:
                if self.at >= len(self.physical):
                    raise DockerfileError(
                        f"unterminated heredoc: no line is just {heredoc.name}", span=Span(start + 1, self.at), source=self.source
                    )
                line = self.physical[self.at]
                self.at += 1
                if ends(line, heredoc):
                    break
                body.append(line + "\n")
            found.append(replace(heredoc, body="".join(body)))
        return tuple(found)


def _may_have_heredocs(text: str) -> bool:
    if "<<" not in text:
        return False
    keyword, rest = _keyword(text)
    if keyword == "ONBUILD":  # once: a trigger cannot set another one
        keyword, rest = _keyword(rest)
    return keyword in _HEREDOC_KEYWORDS and not _is_json_array(rest)


def _keyword(text: str) -> tuple[str, str]:
    keyword, _, rest = text.strip(_SPACE).partition(" ")
    return keyword.split("\t")[0].upper(), rest


def _is_json_array(text: str) -> bool:
    if not text.lstrip(_SPACE).startswith("["):
        return False
    try:
        return isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        return False
