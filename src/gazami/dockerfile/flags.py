"""The ``--flag`` words before an instruction's arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from gazami.dockerfile.suggest import did_you_mean
from gazami.errors import DockerfileError
from gazami.values import dataclass, field

Kind = Literal["bool", "string", "strings"]

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


@dataclass(frozen=True, slots=True)
class Flags:
    """Values of the flags that were given."""

    booleans: Mapping[str, bool] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def parse_flags(words: tuple[str, ...], known: Mapping[str, Kind]) -> Flags:
    """Check flag words against an instruction's own. Raises :class:`DockerfileError` without a span."""
    booleans: dict[str, bool] = {}
    texts: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for word in words:
        name, separator, value = word[2:].partition("=")
        kind = known.get(name)
        if kind is None:
            raise DockerfileError(f"unknown flag: --{name}{did_you_mean(name, known)}")
        if kind != "strings" and (name in texts or name in booleans):
            raise DockerfileError(f"duplicate flag specified: --{name}")
        if kind == "bool":
            booleans[name] = _boolean(name, value) if separator else True
        elif not separator:
            raise DockerfileError(f"missing a value on flag: --{name}")
        elif kind == "string":
            texts[name] = value
        else:
            lists.setdefault(name, []).append(value)
    return Flags(booleans, texts, {name: tuple(values) for name, values in lists.items()})


def _boolean(name: str, value: str) -> bool:
    if re.fullmatch("true", value, re.IGNORECASE):
        return True
    if re.fullmatch("false", value, re.IGNORECASE):
        return False
    raise DockerfileError(f"expecting boolean value for flag --{name}, not: {value}")
