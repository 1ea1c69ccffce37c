"""What one flag is: the row type of the table in :mod:`gazami.cli.flags.options`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum

from gazami.values import dataclass


class Kind(Enum):
    """How the words of a flag become a value; :mod:`gazami.cli.flags.values` reads each kind."""

    BOOL = "true|false"
    STRING = "string"
    INT = "number"
    CHOICE = "choice"
    MULTI = "string, repeatable"
    SLICE = "comma-separated list, repeatable"
    KEY_VALUE = "key=value, repeatable"
    MULTI_VALUE = "key=value[;key=value], repeatable"
    SECRET = "id=…[,src=…|,env=…], repeatable"
    DURATION = "duration (90m, 336h)"
    SECONDS = "seconds or duration"


REPEATABLE = frozenset({Kind.MULTI, Kind.SLICE, Kind.KEY_VALUE, Kind.MULTI_VALUE, Kind.SECRET})


class Group(Enum):
    BUILD = "Build"
    OUTPUT = "Output"
    REGISTRY = "Registry"
    CACHE = "Cache"
    SNAPSHOT = "Snapshot"
    SANDBOX = "Sandbox"
    LOGGING = "Logging"
    COMPATIBILITY = "Compatibility"


class Effect(Enum):
    """Whether a flag does what it says. Anything but FULL needs the option's ``note``."""

    FULL = "full"
    LATER = "not effective yet"
    NOTHING = "no effect"


@dataclass(frozen=True, slots=True)
class Option:
    """One flag. ``default`` is written as on the command line, empty for unset and for repeatable kinds.

    ``aliases`` are accepted silently, ``deprecated`` ones with a notice. ``env`` names a variable that gives a default, or,
    with ``env_wins``, overrides the flag. ``note`` says what is missing (LATER) or why there is nothing to do (NOTHING).
    """

    name: str
    kind: Kind
    group: Group
    help: str
    default: str = ""
    metavar: str = ""
    shorthands: str = ""
    aliases: tuple[str, ...] = ()
    deprecated: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    effect: Effect = Effect.FULL
    note: str = ""
    env: str = ""
    env_wins: bool = False
    hidden: bool = False
    kaniko: bool = True

    @property
    def effective(self) -> bool:
        return self.effect is Effect.FULL

    @property
    def spellings(self) -> tuple[str, ...]:
        return (self.name, *self.aliases, *self.deprecated)


class Table:
    """The options of one command, found by long name (aliases too) or by shorthand letter."""

    def __init__(self, options: Iterable[Option]) -> None:
        self._options = tuple(options)
        self._long = {name: option for option in self._options for name in option.spellings}
        self._short = {letter: option for option in self._options for letter in option.shorthands}

    def __iter__(self) -> Iterator[Option]:
        return iter(self._options)

    def long(self, name: str) -> Option | None:
        return self._long.get(name)

    def short(self, letter: str) -> Option | None:
        return self._short.get(letter)

    @property
    def names(self) -> list[str]:
        """Every long spelling that is shown to people."""
        return sorted(name for name, option in self._long.items() if not option.hidden)
