"""``gazami logout``: forget what ``gazami login`` has stored."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from gazami.cli.command import Command, one_positional
from gazami.cli.commands.stored_credentials import config_path, erase, key_of
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.option import Table

_USAGE = """\
Remove the credentials for a registry from docker's config.json, or from the program that it names.

Usage:
  gazami logout [REGISTRY]

Without REGISTRY: Docker Hub.

Examples:
  gazami logout registry.example.com
"""


def _logout(flags: Flags, environ: Mapping[str, str]) -> int:
    key = key_of(one_positional(flags, "a registry") if flags.positionals else "")
    path = config_path(environ)
    where = erase(path, key)
    said = f"Removed the credentials for {key} from {where}" if where else f"There are no credentials for {key} in {path}"
    sys.stderr.write(said + "\n")
    return 0


COMMAND = Command("logout", _USAGE, Table(()), _logout)
