"""What a command is: the ``COMMAND`` of a module in :mod:`gazami.cli.commands`, and the task that its flags ask for."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from gazami.cli.exhaustion import Places
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.option import Table
from gazami.errors import UsageError
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from gazami.cancel import Cancel
    from gazami.cli.environ import Surroundings
    from gazami.events import Emit
    from gazami.registry.client import RegistryClient


_WIDTH = 100
"""Columns of help that goes to no terminal."""


@fast_dataclass(frozen=True, slots=True)
class Execution:
    """One run of a task. What it ``say``\\ s goes to standard output when it has ended well and the display is closed."""

    around: Surroundings
    emit: Emit
    cancel: Cancel
    say: Callable[[str | bytes], None]
    pause: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    """A context in which the display is silent, and who has something to tell it waits."""

    @contextlib.contextmanager
    def registry(self, flags: Flags, *named: str) -> Iterator[RegistryClient]:
        """``named`` are arguments of the command that name images, besides those that every command has."""
        from gazami.builder.inputs.registries import open_registry
        from gazami.cli.request.credentials import credential_options
        from gazami.cli.request.registry import registry_options

        options, credentials = registry_options(flags, self.around), credential_options(flags, self.around, *named)
        with open_registry(options, credentials, self.emit, self.cancel) as client:
            yield client


@fast_dataclass(frozen=True, slots=True)
class Task:
    """Work that runs under signals, with a display. ``work`` returns the exit status.

    ``takes_stdout``: standard output is for an answer or an image, so that what RUN prints goes elsewhere. ``places`` are
    the directories and files that an error of the system is explained by.
    """

    around: Surroundings
    work: Callable[[Execution], int]
    takes_stdout: bool = True
    places: Places = field(default_factory=Places)
    report: str = ""
    """The directory of ``--report``; empty for none."""


Start: TypeAlias = Callable[[Flags, Mapping[str, str]], Task | int]
"""Check the flags with the environment: the task, or the exit status of a command that has printed its answer.
Raises :class:`GazamiError`."""


@fast_dataclass(frozen=True, slots=True)
class Command:
    """``usage`` stands above the flags in help, ``notes`` below. ``elsewhere`` hints at flags of other programs."""

    name: str
    usage: str
    table: Table
    start: Start
    notes: str = ""
    shown: Table | None = None
    """The flags that help lists, where that is not the whole table."""
    failed: str = "Error"
    """What the text of an error begins with."""
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    raw: bool = False
    """Whether the log is as kaniko's, and what RUN prints goes out as it is, unless --progress says otherwise."""
    reads_files: Literal["", "user", "project"] = "user"
    """Which files of settings count: none, the user's, or that of the working directory too."""
    brief: str = ""
    """What ``-h`` prints, where that is less than ``--help``."""
    prepare: Callable[[Flags], Flags] | None = None
    """Puts flags of other programs in own words, before anything reads them. Raises :class:`UsageError`."""


def help_of(command: Command, *, brief: bool = False) -> str:
    """The text of ``gazami COMMAND --help``; ``brief`` is what fits on a screen."""
    if brief and command.brief:
        return command.brief
    from gazami.cli.flags.help import flag_rows, flowed

    width = _columns()
    table = command.shown or command.table
    parts = [flowed(command.usage, width), *([flag_rows(table, width)] if [*table] else [])]
    return "\n".join([*parts, *([flowed(command.notes, width)] if command.notes else [])])


def _columns() -> int:
    """The width of the terminal, as ``shutil`` finds it, which would import the modules of archives for that."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    with contextlib.suppress(AttributeError, ValueError, OSError):  # standard output is closed, or is no terminal
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _WIDTH  # type: ignore[union-attr]
    return _WIDTH


def task(work: Callable[[Flags, Execution], int]) -> Start:
    """The start of a command that checks its flags while it works."""

    def start(flags: Flags, environ: Mapping[str, str]) -> Task:
        from gazami.cli.environ import look_around

        return Task(look_around(environ), lambda run: work(flags, run))

    return start


def no_positionals(flags: Flags) -> None:
    if flags.positionals:
        raise UsageError(f"unexpected argument {flags.positionals[0]!r}: this command takes only flags")


def one_positional(flags: Flags, what: str) -> str:
    """Raises :class:`UsageError` unless there is exactly one."""
    if len(flags.positionals) != 1:
        given = f"{len(flags.positionals)} were given" if flags.positionals else "none was given"
        raise UsageError(f"{what} is needed, {given}")
    return flags.positionals[0]
