"""Words with quotes, escapes and ``${…}``: how Dockerfile text becomes values.

Theory of operation: one cursor walks the text. Every reader returns the value of what it read *and* feeds the splitter,
because the text of an unquoted ``$x`` is split on blanks when a list of words is wanted while a quoted one is not.
Inside ``${x#p}`` and ``${x/p/r}`` escapes stay in the text, since patterns have escapes of their own.

Substitutions nest in their operands. The readers are generators which yield the reader of an operand and are sent its value, so
that nesting costs memory and not frames. What variables add to a text is bounded: a few lines that double each other would
otherwise need all memory there is.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TypeAlias

from gazami.dockerfile.shell_pattern import replaced, stripped
from gazami.errors import DockerfileError
from gazami.values import fast_dataclass, field

MAX_VALUE = 128 << 10
"""Bytes that variables may add to one text: Linux takes no longer argument or variable (MAX_ARG_STRLEN)."""

MAX_BODY = 16 << 20
"""Bytes that variables may add to a here-document."""

MAX_TOTAL = 64 << 20
"""Bytes that variables may add to all texts of a Dockerfile."""

MAX_NESTING = 10_000
"""Substitutions in the operands of substitutions."""

_MAX_COPIED = 256 << 20
_SPECIAL = "@*#?-$!"

Reader: TypeAlias = Generator["Reader", str, str]
"""Yields the reader of an operand, is sent its value, and returns its own."""


class TooLong(DockerfileError):
    """Variables make a text longer than Linux takes."""


class Overlong(str):
    """What an ARG has that is too long for Linux: nothing is wrong with it until a text or a command uses it."""

    __slots__ = ()


@fast_dataclass(frozen=True, slots=True)
class Expansion:
    """``words`` are the text's, divided where an unquoted blank is, also one that a variable brings."""

    text: str
    words: tuple[str, ...]


def expand(text: str, env: Mapping[str, str], escape: str = "\\") -> Expansion:
    """Expand one argument of an instruction: quotes and escapes go, variables come. Raises :class:`DockerfileError`."""
    if "$" not in text and "'" not in text and '"' not in text and escape not in text:
        return Expansion(text, tuple(text.split()))
    return _Reader(text, env, escape).read()


def expand_body(text: str, env: Mapping[str, str]) -> Expansion:
    """Expand an unquoted here-document: variables and backslash escapes, but quotes are ordinary characters."""
    return _Reader(text, env, "\\", quotes=False, room=MAX_BODY).read()


@fast_dataclass(slots=True)
class Expander:
    """Expands the texts of one Dockerfile; ``room`` is what their variables may still add."""

    escape: str
    room: int = MAX_TOTAL

    def expand(self, text: str, env: Mapping[str, str]) -> Expansion:
        return self._counted(text, expand(text, env, self.escape))

    def expand_body(self, text: str, env: Mapping[str, str]) -> Expansion:
        return self._counted(text, expand_body(text, env))

    def _counted(self, written: str, expansion: Expansion) -> Expansion:
        self.room -= max(0, len(expansion.text) - len(written))
        if self.room < 0:
            raise DockerfileError(f"the variables of this Dockerfile expand to more than {MAX_TOTAL >> 20} MiB")
        return expansion

    def default(self, text: str, env: Mapping[str, str]) -> Expansion:
        """The default of an ARG."""
        try:
            return self.expand(text, env)
        except TooLong:
            return Expansion(Overlong(text), ())


def split_raw(text: str, escape: str = "\\") -> tuple[str, ...]:
    """The words of a shell line with their quotes, escapes and variables left as written. Empty when quoting is broken."""
    try:
        return _Reader(text, {}, escape, raw=True).read().words
    except DockerfileError:
        return ()


def split_unquoted(text: str) -> tuple[str, ...]:
    """The words of a shell line with quotes and escapes removed and variables left as written."""
    return _Reader(text, {}, "\\", keep_unset=True).read().words


@fast_dataclass(slots=True)
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
        room: int = MAX_VALUE,
    ) -> None:
        self.text, self.env, self.escape = text, env, escape
        self.raw, self.keep_unset, self.quotes = raw, keep_unset or raw, quotes
        self.at = 0
        self.room, self.copied = room, 0

    def read(self) -> Expansion:
        splitter = _Splitter()
        text = _run(self._until(None, raw_escapes=self.raw, splitter=splitter))
        splitter.end()
        return Expansion(text, tuple(splitter.words))

    def _peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def _next(self) -> str:
        char = self._peek()
        self.at += 1
        return char

    def _until(self, stop: str | None, *, raw_escapes: bool, splitter: _Splitter | None = None) -> Reader:
        out: list[str] = []
        while self.at < len(self.text):
            char = self._peek()
            if char == stop:
                self.at += 1
                return "".join(out)
            split = False
            if self.quotes and char in "'\"":
                piece = self._single() if char == "'" else (yield from self._double())
            elif char == "$":
                piece, split = (yield from self._dollar()), True
            elif char == self.escape:
                piece = self._escaped(raw_escapes)
                if not piece:
                    break
            else:
                piece, split = self._next(), True
            out.append(piece)
            if splitter is not None:
                (splitter.split if split else splitter.keep)(piece)
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

    def _double(self) -> Reader:
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
                out.append((yield from self._dollar()))
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

    def _dollar(self) -> Reader:
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
            return (yield from self._replace(name))
        colon = operator == ":"
        if colon:
            operator = self._next()
        if not operator:
            raise DockerfileError("syntax error: missing '}'")
        if operator not in "+-?#%" or (colon and operator in "#%"):
            raise DockerfileError(f"unsupported modifier ({':' * colon}{operator}) in substitution")
        word = yield from self._operand("}", raw_escapes=operator in "#%" or self.raw)
        if self.keep_unset and name not in self.env:
            return f"${{{name}{':' * colon}{operator}{word}}}"
        return self._modified(name, operator, colon, word)

    def _operand(self, stop: str, *, raw_escapes: bool) -> Reader:
        try:
            word = yield self._until(stop, raw_escapes=raw_escapes)
        except DockerfileError as cause:
            if self._peek() or cause.message.startswith("syntax error: missing"):
                raise
            missing = "'/' in ${}" if stop == "/" else "'}'"
            raise DockerfileError(f"syntax error: missing {missing}") from cause
        self.copied += len(word)
        if self.copied > _MAX_COPIED:
            raise DockerfileError("the substitutions of a text are too long and nested too deeply")
        return word

    def _value(self, name: str, written: str) -> str:
        value = self._known(name)
        if value is not None:
            return self._added(value)
        if self.keep_unset:
            return written
        return ""

    def _added(self, value: str) -> str:
        """Count what variables add. Raises :class:`TooLong` where it is too much."""
        self.room -= len(value)
        if self.room < 0:
            raise self._too_long()
        return value

    def _too_long(self) -> TooLong:
        if self.quotes:
            return TooLong("the variables of a text expand to more than Linux allows for one argument or variable (128 KiB)")
        return TooLong(f"the variables of a here-document expand to more than {MAX_BODY >> 20} MiB")

    def _known(self, name: str) -> str | None:
        value = self.env.get(name)
        if isinstance(value, Overlong):
            raise self._too_long()
        return value

    def _modified(self, name: str, operator: str, colon: bool, word: str) -> str:
        value = self._known(name)
        missing = value is None or (colon and not value)
        match operator:
            case "-":
                return word if missing else self._added(str(value))
            case "+":
                return "" if missing else word
            case "?":
                if missing:
                    default = "is not allowed to be empty" if value is not None else "is not allowed to be unset"
                    raise DockerfileError(f"{name}: {word or default}")
                return self._added(str(value))
            case _:
                greedy = word.startswith(operator)
                return self._added(stripped(value or "", word[greedy:], operator, greedy=greedy))

    def _replace(self, name: str) -> Reader:
        every = self._peek() == "/"
        self.at += every
        pattern = yield from self._operand("/", raw_escapes=True)
        replacement = yield from self._operand("}", raw_escapes=True)
        if self.keep_unset and name not in self.env:
            return f"${{{name}/{'/' * every}{pattern}/{replacement}}}"
        pieces = replaced(self._known(name) or "", pattern, replacement, every=every)
        return "".join(self._added(piece) for piece in pieces)


def _run(first: Reader) -> str:
    """Run a reader and those that it yields, each to its end before the one that waits for it goes on."""
    stack = [first]
    value: str | None = None
    error: DockerfileError | None = None
    while stack:
        try:
            wanted = stack[-1].throw(error) if error is not None else stack[-1].send(value)  # type: ignore[arg-type]
        except StopIteration as done:
            stack.pop()
            value, error = done.value, None
        except DockerfileError as raised:
            stack.pop()
            value, error = None, raised
        else:
            value = error = None
            stack.append(wanted)
            if len(stack) > MAX_NESTING:
                stack.pop()
                error = DockerfileError(f"substitutions are nested more than {MAX_NESTING} deep")
    if error is not None:
        raise error
    assert value is not None
    return value
