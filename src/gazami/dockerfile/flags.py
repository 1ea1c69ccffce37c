"""The ``--flag`` words before an instruction's arguments, and the row that describes a flag.

The flags of an instruction are a dataclass whose fields are made with :func:`flag`. All that anybody needs to know of a flag is
in its row: the parser, the expansion of variables, the history text and the cache key iterate over the rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from gazami.dockerfile.suggest import did_you_mean
from gazami.errors import DockerfileError
from gazami.values import fast_dataclass, field, fields, replace

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FlagKind = Literal["bool", "string", "strings"]
FlagValue: TypeAlias = bool | str | tuple[str, ...] | None
Flags = TypeVar("Flags", bound="DataclassInstance")

_BLANK = "\t\v\f\r "
_BLANKS = (*_BLANK, "\n")


def take_flags(text: str, escape: str) -> tuple[tuple[str, ...], str]:
    """Split the leading flag words off. Quotes and escapes are removed from them; the rest stays as written."""
    words: list[str] = []
    at = 0
    while True:
        while text.startswith(_BLANKS, at):
            at += 1
        if not text.startswith("--", at):
            return tuple(words), text[at:]
        word, at = _word(text, at, escape)
        if word == "--":
            return tuple(words), text[at:].lstrip(_BLANK)
        words.append(word)


def _word(text: str, at: int, escape: str) -> tuple[str, int]:
    out: list[str] = []
    quote = ""
    while at < len(text):
        char = text[at]
        if char == escape:
            if at + 1 == len(text):
                return "".join(out), at + 1
            out.append(text[at + 1])
            at += 2
            continue
        if quote:
            if char == quote:
                quote = ""
            else:
                out.append(char)
        elif char in "'\"":
            quote = char
        elif char.isspace():
            break
        else:
            out.append(char)
        at += 1
    return "".join(out), at


@fast_dataclass(frozen=True, slots=True)
class Flag:
    """A row. ``name`` is the field's, ``default`` the value of a flag that is absent."""

    spelling: str
    kind: FlagKind
    default: FlagValue
    of: str = ""
    """The only keyword among those of the table that has the flag; empty: all have it."""
    expanded: bool = False
    """Variables in its value are expanded."""
    shown: int = 0
    """Its position among the flags in the history entry; 0: BuildKit does not write it there."""
    keyed: bool = True
    """Its value is an input of the cache key. False where the content of the files says the same."""
    name: str = ""

    def text(self, value: FlagValue) -> str:
        """The flag as a word."""
        return f"--{self.spelling}" if value is True else f"--{self.spelling}={value}"


def flag(
    spelling: str, kind: FlagKind, default: FlagValue, *, of: str = "", expanded: bool = False, shown: int = 0, keyed: bool = True
) -> Any:
    """A field of a table of flags."""
    row = Flag(spelling, kind, default, of=of, expanded=expanded, shown=shown, keyed=keyed)
    return field(default=default, metadata={"flag": row})


@cache
def flags_of(table: type[DataclassInstance]) -> tuple[Flag, ...]:
    """The rows of a table, in the order of its fields."""
    return tuple(replace(each.metadata["flag"], name=each.name) for each in fields(table))


def read_flags(words: tuple[str, ...], table: type[Flags], keyword: str) -> Flags:
    """The flag words of an instruction as a value of its table. Raises :class:`DockerfileError` without a span."""
    known = {row.spelling: row for row in flags_of(table) if row.of in ("", keyword)}
    given = parse_flags(words, {name: row.kind for name, row in known.items()})
    make: Callable[..., Flags] = table
    return make(**{known[name].name: value for name, value in given.items()})


def parse_flags(words: tuple[str, ...], known: Mapping[str, FlagKind]) -> dict[str, FlagValue]:
    """The values of the flags that are given. Raises :class:`DockerfileError` without a span for one that is not known."""
    given: dict[str, FlagValue] = {}
    for word in words:
        name, separator, value = word[2:].partition("=")
        kind = known.get(name)
        if kind is None:
            raise DockerfileError(f"unknown flag: --{name}{did_you_mean(name, known)}")
        before = given.get(name, ())
        if not isinstance(before, tuple):
            raise DockerfileError(f"duplicate flag specified: --{name}")
        if kind == "bool":
            given[name] = _boolean(name, value) if separator else True
        elif not separator:
            raise DockerfileError(f"missing a value on flag: --{name}")
        else:
            given[name] = value if kind == "string" else (*before, value)
    return given


def _boolean(name: str, value: str) -> bool:
    if re.fullmatch("true", value, re.IGNORECASE):
        return True
    if re.fullmatch("false", value, re.IGNORECASE):
        return False
    raise DockerfileError(f"expecting boolean value for flag --{name}, not: {value}")
