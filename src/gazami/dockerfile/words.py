"""Words with quotes, escapes and ``${…}``: how Dockerfile text becomes values.

Theory of operation: one cursor walks the text. Every reader returns the value of what it read *and* feeds the splitter,
because the text of an unquoted ``$x`` is split on blanks when a list of words is wanted while a quoted one is not.
Inside ``${x#p}`` and ``${x/p/r}`` escapes stay in the text, since patterns have escapes of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gazami.errors import DockerfileError
from gazami.values import dataclass, field

_SPECIAL = "@*#?-$!"


@dataclass(frozen=True, slots=True)
class Expansion:
    """``unset`` are the names that were read with a plain ``$x`` and had no value."""

    text: str
    words: tuple[str, ...]
    unset: tuple[str, ...]


def expand(text: str, env: Mapping[str, str], escape: str = "\\") -> Expansion:
    """Expand one argument of an instruction: quotes and escapes go, variables come. Raises :class:`DockerfileError`."""
    reader = _Reader(text, env, escape)
    return reader.read()


def expand_body(text: str, env: Mapping[str, str]) -> Expansion:
    """Expand an unquoted here-document: variables and backslash escapes, but quotes are ordinary characters."""
    return _Reader(text, env, "\\", quotes=False).read()


def split_raw(text: str, escape: str = "\\") -> tuple[str, ...]:
    """The words of a shell line with their quotes, escapes and variables left as written. Empty when quoting is broken."""
    try:
        return _Reader(text, {}, escape, raw=True).read().words
    except DockerfileError:
        return ()


def split_unquoted(text: str) -> tuple[str, ...]:
    """The words of a shell line with quotes and escapes removed and variables left as written."""
    return _Reader(text, {}, "\\", keep_unset=True).read().words


@dataclass(slots=True)
class _Splitter:
    words: list[str] = field(default_factory=list)
    word: list[str] = field(default_factory=list)
    inside: bool = False

    def split(self, text: str) -> None:
        for char in text:
            if char.isspace():
                self.end()
            else:
                self.keep(char)

    def keep(self, text: str) -> None:
        self.word.append(text)
        self.inside = True

    def end(self) -> None:
        if self.inside:
            self.words.append("".join(self.word))
            self.word, self.inside = [], False


class _Reader:
    def __init__(
        self,
        text: str,
        env: Mapping[str, str],
        escape: str,
        *,
        raw: bool = False,
        keep_unset: bool = False,
        quotes: bool = True,
    ) -> None:
        self.text, self.env, self.escape = text, env, escape
        self.raw, self.keep_unset, self.quotes = raw, keep_unset or raw, quotes
        self.at = 0
        self.unset: list[str] = []

    def read(self) -> Expansion:
        splitter = _Splitter()
        text = self._until(None, raw_escapes=self.raw, splitter=splitter)
        splitter.end()
        return Expansion(text, tuple(splitter.words), tuple(self.unset))

    def _peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def _next(self) -> str:
        char = self._peek()
        self.at += 1
        return char

    def _until(self, stop: str | None, *, raw_escapes: bool, splitter: _Splitter) -> str:
        out: list[str] = []
        while self.at < len(self.text):
            char = self._peek()
            if char == stop:
                self.at += 1
                return "".join(out)
            if self.quotes and char in "'\"":
                piece = self._single() if char == "'" else self._double()
                splitter.keep(piece)
            elif char == "$":
                piece = self._dollar()
                splitter.split(piece)
            elif char == self.escape:
                piece = self._escaped(raw_escapes)
                if not piece:
                    break
                splitter.keep(piece)
            else:
                piece = self._next()
                splitter.split(piece)
            out.append(piece)
        if stop is not None:
            raise DockerfileError(f"unexpected end of statement while looking for matching {stop}")
        return "".join(out)

    def _escaped(self, raw_escapes: bool) -> str:
        escape, char = self._next(), self._next()
        if not char:
            return escape if raw_escapes else ""
        return escape + char if raw_escapes else char

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise DockerfileError("unexpected end of statement while looking for matching single-quote")
        start, self.at = self.at, end + 1
        return self.text[start : self.at] if self.raw else self.text[start + 1 : end]

    def _double(self) -> str:
        out = [self._next()] if self.raw else []
        self.at += 0 if self.raw else 1
        while True:
            char = self._peek()
            if not char:
                raise DockerfileError("unexpected end of statement while looking for matching double-quote")
            if char == '"':
                self.at += 1
                return "".join([*out, '"']) if self.raw else "".join(out)
            if char == "$":
                out.append(self._dollar())
                continue
            self.at += 1
            if char == self.escape:
                following = self._next()
                if not following:
                    continue
                if self.raw or following not in ('"', "$", self.escape):
                    out.append(char)
                char = following
            out.append(char)

    def _name(self) -> str:
        start = self.at
        first = self._peek()
        if first.isalpha() or first == "_":
            while self._peek().isalnum() or self._peek() == "_":
                self.at += 1
        elif first.isdigit():
            while self._peek().isdigit():
                self.at += 1
        elif first and first in _SPECIAL:
            self.at += 1
        return self.text[start : self.at]

    def _dollar(self) -> str:
        self.at += 1
        if self._peek() != "{":
            name = self._name()
            return self._value(name, f"${name}") if name else "$"
        self.at += 1
        if not self._peek():
            raise DockerfileError("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise DockerfileError("syntax error: bad substitution")
        name = self._name()
        operator = self._next()
        if operator == "}":
            return self._value(name, f"${{{name}}}")
        if operator == "/":
            return self._replace(name)
        colon = operator == ":"
        if colon:
            operator = self._next()
        if not operator:
            raise DockerfileError("syntax error: missing '}'")
        if operator not in "+-?#%" or (colon and operator in "#%"):
            raise DockerfileError(f"unsupported modifier ({':' * colon}{operator}) in substitution")
        word = self._operand("}", raw_escapes=operator in "#%" or self.raw)
        if self.keep_unset and name not in self.env:
            return f"${{{name}{':' * colon}{operator}{word}}}"
        return self._modified(name, operator, colon, word)

    def _operand(self, stop: str, *, raw_escapes: bool) -> str:
        try:
            return self._until(stop, raw_escapes=raw_escapes, splitter=_Splitter())
        except DockerfileError as cause:
            if not self._peek():
                missing = "'/' in ${}" if stop == "/" else "'}'"
                raise DockerfileError(f"syntax error: missing {missing}") from cause
            raise

    def _value(self, name: str, written: str) -> str:
        if name in self.env:
            return self.env[name]
        if self.keep_unset:
            return written
        self.unset.append(name)
        return ""

    def _modified(self, name: str, operator: str, colon: bool, word: str) -> str:
        value = self.env.get(name)
        missing = value is None or (colon and not value)
        match operator:
            case "-":
                return word if missing else str(value)
            case "+":
                return "" if missing else word
            case "?":
                if missing:
                    default = "is not allowed to be empty" if value is not None else "is not allowed to be unset"
                    raise DockerfileError(f"{name}: {word or default}")
                return str(value)
            case _:
                greedy = word.startswith(operator)
                return _strip(value or "", word[greedy:], operator, greedy=greedy)

    def _replace(self, name: str) -> str:
        every = self._peek() == "/"
        self.at += every
        pattern = self._operand("/", raw_escapes=True)
        replacement = self._operand("}", raw_escapes=True)
        if self.keep_unset and name not in self.env:
            return f"${{{name}/{'/' * every}{pattern}/{replacement}}}"
        value = self.env.get(name, "")
        compiled = re.compile(_regex(pattern, greedy=True))
        if every:
            return compiled.sub(lambda found: _go_template(replacement, found.group(0)), value)
        return compiled.sub(lambda _: replacement, value, count=1)


def _strip(value: str, pattern: str, side: str, *, greedy: bool) -> str:
    lengths = range(len(value) + 1)
    if side == "#":
        expression = re.compile(_regex(pattern, greedy=greedy))
        found = expression.match(value)
        return value[found.end() :] if found else value
    expression = re.compile(_regex(pattern, greedy=True))
    starts = lengths if greedy else reversed(lengths)
    for start in starts:
        if expression.fullmatch(value, start):
            return value[:start]
    return value


def _regex(pattern: str, *, greedy: bool) -> str:
    """A shell pattern (``*`` and ``?``; no bracket classes) as a regular expression."""
    out: list[str] = []
    chars = iter(pattern)
    for char in chars:
        if char == "*":
            out.append(".*" if greedy else ".*?")
        elif char == "?":
            out.append(".")
        elif char == "\\":
            escaped = next(chars, "")
            if escaped not in ("*", "?", "\\", "}", "/"):
                raise DockerfileError(f"invalid escape '\\{escaped}' in pattern")
            out.append(re.escape(escaped))
        else:
            out.append(re.escape(char))
    return "".join(out)


def _go_template(template: str, whole: str) -> str:
    """What Go's ReplaceAllString makes of a replacement when the expression has no groups."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        return "$" if name == "$" else whole if name.strip("{}") == "0" else ""

    return re.sub(r"\$(\$|\w+|\{\w+\})", value, template)
