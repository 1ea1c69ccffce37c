"""``/kaniko/executor``: kaniko's command line. The flags are those of ``gazami build``; what differs is around them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

_HELP = """\
Usage:
  executor [flags]
  executor [command]

Available Commands:
  doctor      Say which isolation of RUN works here (of gazami, not of kaniko)
  login       Store a user and a password for a registry
  push        Push an archive or an OCI layout to a registry
  version     Print the version

The flags of a build are listed by 'executor --help', those of a command by 'executor COMMAND --help'.
"""


def main(argv: list[str] | None = None) -> NoReturn:
    """Entry point; ``argv`` is without the program's name."""
    from gazami.cli.main import ended

    ended(lambda: run(sys.argv[1:] if argv is None else argv, os.environ))


def run(argv: list[str], environ: Mapping[str, str]) -> int:
    """Do what ``argv`` says; the exit status."""
    from gazami import __version__
    from gazami.cli.commands.build import EXECUTOR
    from gazami.cli.commands.rows import command
    from gazami.cli.supervise import supervise

    match argv:
        case ["version"]:
            sys.stdout.write(f"Kaniko version :  gazami {__version__}\n")
            return 0
        case ["help"]:
            sys.stdout.write(_HELP)
            return 0
        case ["login", *words]:
            return supervise(command("login"), ["--no-check", *words], environ)
        case ["doctor" | "push" as name, *words]:
            return supervise(command(name), words, environ)
        case [word, *_] if not word.startswith("-"):
            sys.stderr.write(f'Error: unknown command "{word}" for "executor"\n{_HELP}')
            return 1
    return supervise(EXECUTOR, argv, environ)


if __name__ == "__main__":
    main()
