"""argv → typed values, with the grammar of pflag that kaniko's users rely on.

A bare bool flag is true and never takes the next word (``--cache false`` leaves ``false`` over); every other flag takes
``--flag=value`` or ``--flag value``; shorthands may be written ``-d x``, ``-dx``, ``-d=x`` and bundled after bool ones;
``--`` ends the flags. A name that is not in the table is an error, so that a typing mistake cannot be silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

from gazami.cli.flags.option import REPEATABLE, Kind, Option, Table
from gazami.cli.flags.values import Pairs, SecretSpec, Value, read
from gazami.dockerfile.suggest import nearest
from gazami.errors import UsageError
from gazami.values import dataclass, field, replace

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values of all options of a table by name; ``given`` are those that argv or the environment set."""

    values: Mapping[str, Value]
    given: frozenset[str] = frozenset()
    positionals: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    help: bool = False
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What was written for each option that was given, for handing it on to another gazami."""

    def _get(self, name: str, kind: type[T]) -> T:
        value = self.values[name]
        assert isinstance(value, kind), name
        return value

    def flag(self, name: str) -> bool:
        return self._get(name, bool)

    def text(self, name: str) -> str:
        return self._get(name, str)

    def number(self, name: str) -> int:
        return self._get(name, int)

    def seconds(self, name: str) -> float | None:
        return None if self.values[name] is None else self._get(name, float)

    def texts(self, name: str) -> tuple[str, ...]:
        return cast("tuple[str, ...]", self._get(name, tuple))

    def pairs(self, name: str) -> Pairs:
        return cast("Pairs", self._get(name, tuple))

    def secrets(self, name: str) -> tuple[SecretSpec, ...]:
        return cast("tuple[SecretSpec, ...]", self._get(name, tuple))


@dataclass(slots=True)
class _Found:
    """What the walk over argv has met so far: the words of each option, in order."""

    words: dict[str, list[str]] = field(default_factory=dict)
    spelling: dict[str, str] = field(default_factory=dict)
    positionals: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def add(self, option: Option, spelling: str, word: str) -> None:
        self.words.setdefault(option.name, []).append(word)
        self.spelling[option.name] = spelling
        if spelling.removeprefix("--") in option.deprecated:
            self.notices.append(f"Flag {spelling} is deprecated. Use: --{option.name}")


def parse(argv: list[str], table: Table, elsewhere: Mapping[str, str] | None = None) -> Parsed:
    """Read the words after the command's name. ``elsewhere`` hints at flags of other programs.

    Raises :class:`UsageError`. ``--help`` ends the walk: what comes after it is not looked at.
    """
    found = _Found()
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word in ("--help", "-h"):
            return replace(_settle(found, table), help=True)
        if word == "--":
            found.positionals += rest
            break
        if word.startswith("--"):
            _long(word, rest, table, found, elsewhere or {})
        elif word.startswith("-") and word != "-":
            _short(word, rest, table, found)
        else:
            found.positionals.append(word)
    return _settle(found, table)


def _long(word: str, rest: list[str], table: Table, found: _Found, elsewhere: Mapping[str, str]) -> None:
    name, equals, value = word[2:].partition("=")
    option = table.long(name)
    if option is None:
        raise UsageError(f"unknown flag: --{name}", hint=elsewhere.get(name) or _suggestion(name, table))
    if not equals:
        value = "true" if option.kind is Kind.BOOL else _next(rest, f"--{name}", option)
    found.add(option, f"--{name}", value)


def _short(word: str, rest: list[str], table: Table, found: _Found) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        option = table.short(letter)
        if option is None:
            raise UsageError(f"unknown shorthand flag: {letter!r} in {word}", hint=_suggestion(word[1:], table))
        if letters.startswith("="):
            value, letters = letters[1:], ""
        elif option.kind is Kind.BOOL:
            value = "true"
        elif letters:
            value, letters = letters, ""
        else:
            value = _next(rest, f"-{letter}", option)
        found.add(option, f"-{letter}", value)


def _next(rest: list[str], spelling: str, option: Option) -> str:
    if not rest:
        raise UsageError(f"flag needs an argument: {spelling}", hint=f"{spelling} takes {option.metavar or 'a value'}")
    return rest.pop(0)


def _suggestion(name: str, table: Table) -> str | None:
    close = nearest(name, table.names) or next((full for full in table.names if name and full.startswith(name)), None)
    return f"did you mean --{close}?" if close else None


def _settle(found: _Found, table: Table) -> Parsed:
    values = {
        option.name: read(option, found.words.get(option.name) or _default(option), found.spelling.get(option.name, ""))
        for option in table
    }
    words = {name: tuple(given) for name, given in found.words.items()}
    return Parsed(values, frozenset(words), tuple(found.positionals), tuple(found.notices), words=words)


def _default(option: Option) -> list[str]:
    return [option.default] if option.default else []


def with_environment(parsed: Parsed, table: Table, environ: Mapping[str, str]) -> Parsed:
    """Apply the variables that options name: a default for a flag that was not given, more items for a repeatable one,
    and the last word where ``env_wins``. An empty variable counts as unset. Raises :class:`UsageError`."""
    values, given, words = dict(parsed.values), set(parsed.given), dict(parsed.words)
    for option in table:
        word = environ.get(option.env) if option.env else None
        if not word:
            continue
        if option.kind in REPEATABLE:
            values[option.name] = cast("Pairs", values[option.name]) + cast("Pairs", read(option, [word], option.env))
            words[option.name] = (*words.get(option.name, ()), word)
        elif option.env_wins or option.name not in given:
            values[option.name] = read(option, [word], option.env)
            words[option.name] = (word,)
        given.add(option.name)
    return replace(parsed, values=values, given=frozenset(given), words=words)


def changed(parsed: Parsed, table: Table) -> list[Option]:
    """The options that were set to something else than their default, in the table's order."""
    return [
        option
        for option in table
        if option.name in parsed.given and parsed.values[option.name] != read(option, _default(option), option.name)
    ]
