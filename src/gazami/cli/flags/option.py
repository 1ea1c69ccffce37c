"""What one flag is: the row of a table of flags, with the Python type of its value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Generic, TypeVar

from gazami.values import fast_dataclass

T_co = TypeVar("T_co", covariant=True)


@fast_dataclass(frozen=True, slots=True)
class Written:
    """What the user wrote for a flag: its words in order, and the spelling that errors name."""

    name: str
    words: tuple[str, ...]
    spelling: str

    @property
    def last(self) -> str:
        return self.words[-1] if self.words else ""


@fast_dataclass(frozen=True, slots=True)
class FlagKind(Generic[T_co]):
    """How the words of a flag become a value; :mod:`gazami.cli.flags.kinds` has them.

    ``read`` raises :class:`UsageError`. A ``bare`` flag is true without a value, and never takes the next word.
    """

    read: Callable[[Written], T_co]
    repeatable: bool = False
    bare: bool = False
    choices: tuple[str, ...] = ()


class Group(Enum):
    BUILD = "Build"
    OUTPUT = "Output"
    REGISTRY = "Registry"
    CACHE = "Cache"
    SNAPSHOT = "Snapshot"
    SANDBOX = "Sandbox"
    LOGGING = "Logging"
    DOCKER = "docker build"
    COMPATIBILITY = "Compatibility"


@fast_dataclass(frozen=True, slots=True)
class Option(Generic[T_co]):
    """One flag, whose value is a ``T_co``. ``default`` is written as on the command line, empty for unset.

    ``aliases`` are accepted silently, ``deprecated`` ones with a notice. ``env`` names a variable that gives a default, or,
    with ``env_wins``, overrides the flag. ``unused`` says why a flag of kaniko's has nothing to do here.
    """

    name: str
    kind: FlagKind[T_co]
    group: Group
    help: str
    default: str = ""
    metavar: str = ""
    shorthands: str = ""
    aliases: tuple[str, ...] = ()
    deprecated: tuple[str, ...] = ()
    unused: str = ""
    env: str = ""
    env_wins: bool = False
    hidden: bool = False
    kaniko: bool = True

    @property
    def spellings(self) -> tuple[str, ...]:
        return (self.name, *self.aliases, *self.deprecated)

    @property
    def variable(self) -> str:
        """``GAZAMI_REGISTRY_MIRROR`` of ``--registry-mirror``."""
        return "GAZAMI_" + self.name.upper().replace("-", "_")

    @property
    def unwritten(self) -> T_co:
        """The value of a flag that nobody wrote."""
        return self.kind.read(Written(self.name, (self.default,) if self.default else (), f"--{self.name}"))


class Table:
    """The options of one command, found by long name (aliases too) or by shorthand letter."""

    def __init__(self, options: Iterable[Option[object]]) -> None:
        self._options = tuple(options)
        self._long = {name: option for option in self._options for name in option.spellings}
        self._short = {letter: option for option in self._options for letter in option.shorthands}

    def __iter__(self) -> Iterator[Option[object]]:
        return iter(self._options)

    def long(self, name: str) -> Option[object] | None:
        return self._long.get(name)

    def short(self, letter: str) -> Option[object] | None:
        return self._short.get(letter)

    @property
    def names(self) -> list[str]:
        """Every long spelling that is shown to people."""
        return sorted(name for name, option in self._long.items() if not option.hidden)
