"""The kinds of values that flags have: words → a Python value, by the rules of Go's flag and strconv packages, as in kaniko.

Each kind names its type, so that a type checker knows what ``flags[OPTION]`` is. An error names the flag as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar

from gazami.cli.flags.option import FlagKind, Written
from gazami.dockerfile.duration import parse_duration
from gazami.errors import UsageError
from gazami.values import fast_dataclass, replace

Pairs: TypeAlias = tuple[tuple[str, str], ...]
T = TypeVar("T")
Word = TypeVar("Word", bound=str)

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INT = re.compile(r"[+-]?[0-9]{1,18}\Z")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?\Z")
_SIZE = re.compile(r"([0-9]{1,18})([kmgt]?)b?\Z", re.IGNORECASE | re.ASCII)
_LONGEST = 2**63 / 1e9


@fast_dataclass(frozen=True, slots=True)
class SecretSpec:
    """``--secret`` as written; where its value is depends on the environment too (:mod:`gazami.cli.request.sandbox`)."""

    id: str
    type: Literal["", "file", "env"] = ""
    src: str = ""
    env: str = ""


def one(read: Callable[[str, str], T]) -> FlagKind[T]:
    """Of a flag that is not repeatable the last word counts. ``read`` gets a word and the flag's spelling."""
    return FlagKind(lambda written: read(written.last, written.spelling))


def each(read: Callable[[str, str], T]) -> FlagKind[tuple[T, ...]]:
    """A repeatable flag: one value for each word, in order."""
    return FlagKind(lambda written: tuple(read(word, written.spelling) for word in written.words), repeatable=True)


def choice(*words: Word, **elsewhere: str) -> FlagKind[Word]:
    """One of these words, of which the empty one stands for none of the others. ``elsewhere`` are hints for words of other
    programs."""
    shown = tuple(word for word in words if word)

    def read(written: Written) -> Word:
        for word in words:
            if written.last == word:
                return word
        *rest, end = shown
        hint = elsewhere.get(written.last) or f"{written.spelling} takes {', '.join(rest)} or {end}"
        raise UsageError(f"{written.last!r} is not a valid {written.name.replace('-', ' ')}", hint=hint)

    return FlagKind(read, choices=shown)


def optional(kind: FlagKind[T]) -> FlagKind[T | None]:
    """None where nothing is written; not for flags that are bare or repeatable."""
    return FlagKind(lambda written: kind.read(written) if written.words else None)


def _invalid(text: str, spelling: str, hint: str) -> UsageError:
    return UsageError(f"invalid value {text!r} for {spelling}", hint=hint)


def _bool(text: str, spelling: str) -> bool:
    """Go's ParseBool."""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise _invalid(text, spelling, "write true or false")


def _number(text: str, spelling: str) -> int:
    if not _INT.match(text):
        raise _invalid(text, spelling, "write a whole number")
    return int(text)


def _size(text: str, spelling: str) -> int:
    """Bytes; a unit is a power of 1024."""
    found = _SIZE.match(text)
    if found is None:
        raise _invalid(text, spelling, "write a size such as 500m or 10g")
    return int(found[1]) << {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}[found[2].lower()]


def _some_size(text: str, spelling: str) -> int:
    size = _size(text, spelling)
    if not size:
        raise _invalid(text, spelling, "write a size such as 64m or 1g")
    return size


def _duration(text: str, spelling: str) -> float:
    nanoseconds = parse_duration(text)
    if nanoseconds is None or abs(nanoseconds) >= _LONGEST * 1e9:
        raise _invalid(text, spelling, "write a number with a unit: 90s, 45m, 336h, 1h30m")
    return nanoseconds / 1e9


def _seconds(text: str, spelling: str) -> float:
    seconds = float(text) if _SECONDS.match(text) else _duration(text, spelling)
    if seconds <= 0:
        raise _invalid(text, spelling, "write a time greater than zero: 600, 10m")
    return seconds


def places(text: str) -> tuple[str, ...]:
    """What ``--cache-repo`` names: repositories with commas between them, or one ``oci:DIR``."""
    return (text,) if text.startswith("oci:") else tuple(dict.fromkeys(part for part in text.split(",") if part))


def _pair(word: str, spelling: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise _invalid(word, spelling, "expect key=value")
    return key, value


def _pairs(written: Written) -> Pairs:
    """Of a key that is given twice the last value counts."""
    return tuple(dict(_pair(word, written.spelling) for word in written.words).items())


def _pair_lists(written: Written) -> Pairs:
    return tuple(_pair(part, written.spelling) for word in written.words if word for part in word.split(";"))


def _label(word: str, spelling: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not key or not equals:
        raise UsageError(f"invalid value {word!r} for {spelling}: labels must be of the form key=value")
    return key, value


def _secrets(written: Written) -> tuple[SecretSpec, ...]:
    specs = tuple(_secret(word, written.spelling) for word in written.words)
    seen: set[str] = set()
    for spec in specs:
        if spec.id in seen:
            raise UsageError(f"{written.spelling}: the id {spec.id!r} is given twice")
        seen.add(spec.id)
    return specs


def _secret(word: str, spelling: str) -> SecretSpec:
    fields: dict[str, str] = {}
    for part in _csv(word, spelling):
        key, equals, value = part.partition("=")
        key = {"source": "src"}.get(key.strip().lower(), key.strip().lower())
        if not equals or key not in ("id", "type", "src", "env"):
            raise UsageError(f"{spelling}: {part!r} is not a field of a secret", hint="fields: id=, type=, src=, env=")
        fields[key] = value
    return _checked_secret(fields, spelling)


def _checked_secret(fields: dict[str, str], spelling: str) -> SecretSpec:
    name, kind, src, env = (fields.get(key, "") for key in ("id", "type", "src", "env"))
    if not name:
        raise UsageError(f"{spelling}: a secret needs an id", hint="for example: --secret id=token,src=token.txt")
    if src and env:
        raise UsageError(f"{spelling}: secret {name!r} has both src and env", hint="keep the one that holds the value")
    match kind:
        case "":
            return SecretSpec(name, "env" if env else "file" if src else "", src, env)
        case "file":
            if env:
                raise UsageError(f"{spelling}: secret {name!r} has type=file and env", hint="write src=PATH, or type=env")
            return SecretSpec(name, "file", src or name)
        case "env":
            return SecretSpec(name, "env", "", env or src or name)
    raise UsageError(f"{spelling}: {kind!r} is not a type of secret", hint="write type=file or type=env")


def _csv(word: str, spelling: str) -> list[str]:
    import csv

    try:
        rows = list(csv.reader([word], strict=True))
    except csv.Error as error:
        raise UsageError(f"{spelling}: {word!r} is not a list of fields: {error}") from error
    return rows[0] if rows else []


BOOL: FlagKind[bool] = replace(one(_bool), bare=True)
STRING: FlagKind[str] = one(lambda text, _: text)
NUMBER: FlagKind[int] = one(_number)
SIZE: FlagKind[int] = one(_size)
SOME_SIZE: FlagKind[int] = one(_some_size)
DURATION: FlagKind[float] = one(_duration)
SECONDS: FlagKind[float] = one(_seconds)
LIST: FlagKind[tuple[str, ...]] = each(lambda word, _: word)
COMMA_LIST: FlagKind[tuple[str, ...]] = FlagKind(
    lambda written: tuple(part for word in written.words for part in word.split(",") if part), repeatable=True
)
PLACES: FlagKind[tuple[str, ...]] = one(lambda text, _: places(text))
"""Repositories, or one directory, whose name may have commas."""
PAIRS: FlagKind[Pairs] = FlagKind(_pairs, repeatable=True)
PAIR_LISTS: FlagKind[Pairs] = FlagKind(_pair_lists, repeatable=True)
LABELS: FlagKind[Pairs] = each(_label)
SECRETS: FlagKind[tuple[SecretSpec, ...]] = FlagKind(_secrets, repeatable=True)
