"""The ``gazami`` program: commands, signals, exit status.

Only what ``--version`` needs is imported at the top. An error that gazami raises on purpose ends with its text and its exit
code; anything else is a bug of ours and says so, with the whole traceback only at ``--verbosity=debug``.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gazami.builder.build import BuildResult
    from gazami.builder.request import BuildRequest
    from gazami.cancel import Cancel
    from gazami.cli.command import Command
    from gazami.events import Emit

    Build = Callable[[BuildRequest, Emit, Cancel], BuildResult]

_COMMANDS = (
    "build",
    "submit",
    "push",
    "pull",
    "inspect",
    "login",
    "warm",
    "cache",
    "lint",
    "doctor",
    "version",
    "help",
)
_TABLES = frozenset({"submit", "push", "pull", "inspect", "login", "warm", "cache"})
"""Commands that are a module here with a ``COMMAND``."""


def main(argv: list[str] | None = None) -> NoReturn:
    """Entry point of the console script and of ``python -m gazami``; ``argv`` is without the program's name."""
    ended(lambda: run(sys.argv[1:] if argv is None else argv, os.environ))


def ended(work: Callable[[], int]) -> NoReturn:
    """Do a program's work and leave with its status."""
    gc.set_threshold(50_000, 20, 100)  # nearly everything lives as long as the build: looking for cycles is in vain
    try:
        status = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 1
    sys.exit(status)


def run(argv: list[str], environ: Mapping[str, str], build: Build | None = None) -> int:
    """Do what ``argv`` says; returns the exit status. ``build`` stands in for the builder in tests."""
    match argv:
        case ["version" | "--version"]:
            from gazami import __version__

            print(f"gazami {__version__}")  # noqa: T201
            return 0
        case [] | ["--help" | "-h" | "help"]:
            return _help("")
        case ["help", command]:
            return _help(command)
        case ["build", "--help" | "-h"]:
            return _help("build")
        case ["build", *words]:
            from gazami.cli.run import run_build

            return run_build(words, environ, build)
        case ["cache", *words]:
            from gazami.cli.command import run_command
            from gazami.cli.commands.cache import command_for

            return run_command(*command_for(words), environ)
        case [name, *words] if name in _TABLES:
            from gazami.cli.command import run_command

            return run_command(command_called(name), words, environ)
        case ["lint", *words]:
            from gazami.cli.commands.lint import run_lint

            return run_lint(words, environ)
        case ["doctor", *words]:
            from gazami.cli.commands.doctor import run_doctor

            return run_doctor(words, environ)
        case ["version", *_]:
            return _wrong_usage("version takes no arguments", None)
    return _unknown(argv[0])


def command_called(name: str) -> Command:
    """The command of a name in :data:`_TABLES`."""
    import importlib

    found: Command = importlib.import_module(f"gazami.cli.{name}").COMMAND
    return found


def _help(command: str) -> int:
    from gazami.cli.flags import help as texts

    if command == "build":
        import shutil

        from gazami.cli.flags.options import BUILD

        text = texts.build_help(BUILD, shutil.get_terminal_size((100, 24)).columns)
    elif command == "lint":
        from gazami.cli.commands.lint import HELP

        text = HELP
    elif command == "doctor":
        from gazami.cli.commands.doctor import HELP

        text = HELP
    elif command in _TABLES:
        from gazami.cli.command import help_of

        text = help_of(command_called(command))
    elif command in ("", "help", "version"):
        text = texts.TOP
    else:
        return _unknown(command)
    sys.stdout.write(text)
    return 0


def _unknown(word: str) -> int:
    from gazami.dockerfile.suggest import nearest

    if word.startswith("-"):
        return _wrong_usage(f"unknown flag: {word}", f"flags come after the command: gazami build {word}")
    close = nearest(word, _COMMANDS)
    return _wrong_usage(f"unknown command {word!r}", f"did you mean {close}?" if close else None)


def _wrong_usage(message: str, hint: str | None) -> int:
    lines = [f"Error: {message}", *([f"hint: {hint}"] if hint else []), "Run 'gazami --help' for usage."]
    sys.stderr.write("\n".join(lines) + "\n")
    return 1


if __name__ == "__main__":
    main()
