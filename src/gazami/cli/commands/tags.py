"""``gazami ls``: the tags of a repository."""

from __future__ import annotations

import json

from gazami.cli.command import Command, Execution, one_positional, task
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import BOOL
from gazami.cli.flags.option import Group, Option
from gazami.cli.flags.registries import QUIETLY, READING, table
from gazami.errors import NotFoundError

_USAGE = """\
List the tags of a repository.

Usage:
  gazami ls REPOSITORY [flags]

Examples:
  gazami ls registry.example.com/app
"""

JSON = Option("json", BOOL, Group.OUTPUT, "Print a JSON list.", "false")


def _list(flags: Flags, run: Execution) -> int:
    from gazami.foreign import printable
    from gazami.image.reference import parse_reference

    reference = parse_reference(one_positional(flags, "the name of a repository"))
    with run.registry(flags) as client:
        tags = sorted(client.list_tags(reference))
    if not tags:
        raise NotFoundError(f"{reference.context} has no tags, or does not exist", hint="check the spelling; see gazami login")
    run.say(json.dumps(tags, indent=2) + "\n" if flags[JSON] else "".join(f"{printable(each)}\n" for each in tags))
    return 0


COMMAND = Command("ls", _USAGE, table((JSON,), (*READING, *QUIETLY)), task(_list))
