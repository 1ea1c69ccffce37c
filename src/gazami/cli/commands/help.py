"""``gazami help``: what there is, or one command's help."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from gazami.cli.command import Command, help_of
from gazami.cli.commands.rows import ROWS, SUBCOMMANDS, called, command
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.option import Table
from gazami.dockerfile.suggest import did_you_mean
from gazami.errors import UsageError

_COMMANDS = "\n".join(f"  {name:<15}{does}" for name, (_, does) in ROWS.items())
_USAGE = f"""\
gazami builds container images from Dockerfiles without a daemon and without privileges.

Usage:
  gazami build [CONTEXT] [flags]

Commands:
{_COMMANDS}

Examples:
  gazami build .
  gazami build . --tag registry.example.com/app:1.0
  gazami build . --load --tag app:1.0

Every flag of kaniko's executor and of docker build is known. Run 'gazami build -h' for those that most builds use,
'gazami build --help' for all, 'gazami COMMAND --help' for others.
"""


def _help(flags: Flags, environ: Mapping[str, str]) -> int:
    words = list(flags.positionals)
    name, rest = called(words or ["help"])
    if not name or (rest and (len(rest) > 1 or rest[0] not in SUBCOMMANDS.get(name, ()))):
        raise UsageError(f"unknown command {' '.join(words)!r}{did_you_mean(' '.join(words), ROWS)}")
    sys.stdout.write(help_of(command(name)))
    return 0


COMMAND = Command("help", _USAGE, Table(()), _help)
