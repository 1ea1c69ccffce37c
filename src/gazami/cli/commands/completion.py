"""``gazami completion``: what a shell needs to complete commands and flags."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from gazami.cli.command import Command
from gazami.cli.commands.rows import ROWS, SUBCOMMANDS, command
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.completion import SHELLS, Completed
from gazami.cli.flags.option import Table
from gazami.errors import UsageError

_USAGE = """\
Print a script that lets a shell complete commands, flags and their values.

Usage:
  gazami completion bash|zsh|fish

Examples:
  source <(gazami completion bash)
  gazami completion bash > /etc/bash_completion.d/gazami
  gazami completion zsh > "${fpath[1]}/_gazami"
  gazami completion fish > ~/.config/fish/completions/gazami.fish
"""


def _completion(flags: Flags, environ: Mapping[str, str]) -> int:
    if len(flags.positionals) != 1 or flags.positionals[0] not in SHELLS:
        raise UsageError("the name of a shell is needed", hint=f"write gazami completion {'|'.join(SHELLS)}")
    rows = [Completed(name, does, command(name).table, _words(name)) for name, (_, does) in ROWS.items()]
    sys.stdout.write(SHELLS[flags.positionals[0]](rows))
    return 0


def _words(name: str) -> tuple[str, ...]:
    """What comes after a command besides flags and files."""
    if name == "help":
        return tuple(row for row in ROWS if " " not in row)
    return SUBCOMMANDS.get(name, ())


COMMAND = Command("completion", _USAGE, Table(()), _completion, reads_files="")
