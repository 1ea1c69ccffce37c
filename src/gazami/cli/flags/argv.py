"""argv → flags with typed values, by the grammar of pflag that kaniko's users rely on.

A bare bool flag is true and never takes the next word (``--cache false`` leaves ``false`` over); every other flag takes
``--flag=value`` or ``--flag value``; shorthands may be written ``-d x``, ``-dx``, ``-d=x`` and bundled after bool ones;
``--`` ends the flags. A name that is not in the table is an error, so that a typing mistake cannot be silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from gazami.cli.flags.option import Option, Table, Written
from gazami.dockerfile.suggest import nearest
from gazami.errors import UsageError
from gazami.values import fast_dataclass, field, replace

T = TypeVar("T")
_OWN = "GAZAMI_"


@fast_dataclass(frozen=True, slots=True)
class Flags:
    """What argv and the environment say: ``flags[OPTION]`` is the option's value, of the option's type."""

    written: Mapping[str, Written] = field(default_factory=dict)
    """By name, the options that were given; each can be read, which :func:`parse` has checked."""
    positionals: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    help: bool = False
    brief: bool = False
    """Of help only what most people look for: ``-h``."""

    def __getitem__(self, option: Option[T]) -> T:
        written = self.written.get(option.name)
        return option.unwritten if written is None else option.kind.read(written)

    def given(self, option: Option[object]) -> bool:
        return option.name in self.written

    def spelling(self, option: Option[object]) -> str:
        """The flag as it was typed, for messages."""
        return self.written[option.name].spelling if option.name in self.written else f"--{option.name}"

    def words(self, option: Option[object]) -> tuple[str, ...]:
        """What was written, for handing it on to another gazami."""
        return self.written[option.name].words if option.name in self.written else ()

    def having(self, option: Option[object], *words: str) -> Flags:
        """The same flags with this one written so."""
        return replace(self, written={**self.written, option.name: Written(option.name, words, f"--{option.name}")})


@fast_dataclass(slots=True)
class _Found:
    """What the walk over argv has met so far."""

    written: dict[str, Written] = field(default_factory=dict)
    positionals: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def add(self, option: Option[object], spelling: str, word: str) -> None:
        before = self.written[option.name].words if option.name in self.written else ()
        self.written[option.name] = Written(option.name, (*before, word), spelling)
        if spelling.removeprefix("--") in option.deprecated:
            self.notices.append(f"Flag {spelling} is deprecated. Use: --{option.name}")


def parse(argv: list[str], table: Table, elsewhere: Mapping[str, str] | None = None) -> Flags:
    """Read the words after the command's name. ``elsewhere`` hints at flags of other programs.

    Raises :class:`UsageError`. ``--help`` ends the walk: what comes after it is not looked at.
    """
    found = _Found()
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word in ("--help", "-h"):
            return replace(_settle(found, table), help=True, brief=word == "-h")
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
        value = "true" if option.kind.bare else _next(rest, f"--{name}", option)
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
        elif option.kind.bare:
            value = "true"
        elif letters:
            value, letters = letters, ""
        else:
            value = _next(rest, f"-{letter}", option)
        found.add(option, f"-{letter}", value)


def _next(rest: list[str], spelling: str, option: Option[object]) -> str:
    if not rest:
        raise UsageError(f"flag needs an argument: {spelling}", hint=f"{spelling} takes {option.metavar or 'a value'}")
    return rest.pop(0)


def _suggestion(name: str, table: Table) -> str | None:
    close = nearest(name, table.names) or next((full for full in table.names if name and full.startswith(name)), None)
    return f"did you mean --{close}?" if close else None


def _settle(found: _Found, table: Table) -> Flags:
    for option in table:
        if option.name in found.written:
            option.kind.read(found.written[option.name])
    return Flags(found.written, tuple(found.positionals), tuple(found.notices))


def with_environment(flags: Flags, table: Table, environ: Mapping[str, str]) -> Flags:
    """Apply the variables that options name, and ``GAZAMI_<FLAG>``: a default for a flag that was not given, more items for a
    repeatable one, and the last word where ``env_wins``. An empty variable counts as unset. Raises :class:`UsageError`."""
    written = dict(flags.written)
    for option in table:
        word = environ.get(option.env) if option.env else None
        if not word:
            continue
        own = Written(option.name, (word,), option.env)
        if option.kind.repeatable:
            own = replace(own, words=(*(written[option.name].words if option.name in written else ()), word))
        elif option.name in written and not option.env_wins:
            continue
        option.kind.read(own)
        written[option.name] = own
    if any(name.startswith(_OWN) for name in environ):
        _add_own_variables(written, table, environ)
    return replace(flags, written=written)


def _add_own_variables(written: dict[str, Written], table: Table, environ: Mapping[str, str]) -> None:
    """Of a repeatable flag a variable has a value in each line, before those of the command line."""
    for option in table:
        text = environ.get(option.variable)
        if not text or option.variable == option.env:
            continue
        lines = tuple(line for line in text.splitlines() if line) if option.kind.repeatable else (text,)
        own = Written(option.name, lines, option.variable)
        option.kind.read(own)
        if option.name not in written:
            written[option.name] = own
        elif option.kind.repeatable:
            before = written[option.name]
            written[option.name] = replace(before, words=(*lines, *before.words))


def changed(flags: Flags, table: Table) -> list[Option[object]]:
    """The options that were set to something else than their default, in the table's order."""
    return [option for option in table if flags.given(option) and flags[option] != option.unwritten]
