"""The words of a flag → its value, by kind, with the rules of Go's flag and strconv packages that kaniko follows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

from gazami.cli.flags.option import Kind, Option
from gazami.dockerfile.duration import parse_duration
from gazami.errors import UsageError

Pairs: TypeAlias = tuple[tuple[str, str], ...]

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INT = re.compile(r"[+-]?[0-9]{1,18}\Z")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?\Z")
_LONGEST = 2**63 / 1e9


@dataclass(frozen=True, slots=True)
class SecretSpec:
    """``--secret`` as written; where its value is found depends on the environment too (see ``request``)."""

    id: str
    type: Literal["", "file", "env"] = ""
    src: str = ""
    env: str = ""


Value: TypeAlias = bool | int | float | str | tuple[str, ...] | Pairs | tuple[SecretSpec, ...] | None


def read(option: Option, words: list[str], spelling: str) -> Value:
    """The value of all occurrences of a flag, in order; of a flag that is not repeatable the last one counts.

    No words at all give the empty value of the kind. Raises :class:`UsageError` naming ``spelling``.
    """
    last = words[-1] if words else ""
    match option.kind:
        case Kind.BOOL:
            return parse_bool(last, spelling) if words else False
        case Kind.STRING:
            return last
        case Kind.INT:
            return _integer(last, spelling) if words else 0
        case Kind.CHOICE:
            return _choice(option, last, spelling)
        case Kind.MULTI:
            return tuple(words)
        case Kind.SLICE:
            return tuple(part for word in words for part in word.split(",") if part)
        case Kind.KEY_VALUE:
            return tuple(dict(_pair(word, spelling) for word in words).items())
        case Kind.MULTI_VALUE:
            return tuple(_pair(part, spelling) for word in words if word for part in word.split(";"))
        case Kind.SECRET:
            return _secrets(words, spelling)
        case Kind.DURATION:
            return _duration(last, spelling) if words else None
        case Kind.SECONDS:
            return _seconds(last, spelling) if words else None
        case _:
            assert_never(option.kind)


def parse_bool(text: str, what: str) -> bool:
    """Go's ParseBool."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _invalid(text, what, "write true or false")


def _invalid(text: str, what: str, hint: str) -> UsageError:
    return UsageError(f"invalid value {text!r} for {what}", hint=hint)


def _integer(text: str, spelling: str) -> int:
    if not _INT.match(text):
        raise _invalid(text, spelling, "write a whole number")
    return int(text)


def _choice(option: Option, text: str, spelling: str) -> str:
    if text in option.choices or (not text and not option.default):
        return text
    *rest, end = option.choices
    hint = f"{spelling} takes {', '.join(rest)} or {end}"
    raise UsageError(f"{text!r} is not a valid {option.name.replace('-', ' ')}", hint=hint)


def _pair(word: str, spelling: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise _invalid(word, spelling, "expect key=value")
    return key, value


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


def _secrets(words: list[str], spelling: str) -> tuple[SecretSpec, ...]:
    specs = tuple(_secret(word, spelling) for word in words)
    seen: set[str] = set()
    for spec in specs:
        if spec.id in seen:
            raise UsageError(f"{spelling}: the id {spec.id!r} is given twice")
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
                raise UsageError(
                    f"{spelling}: secret {name!r} has type=file and env", hint="write src=PATH, or type=env"
                )
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
