"""``gazami state``: what the state directory holds between builds, and how to empty it."""

from __future__ import annotations

import json

from gazami.cli.command import Command, Execution, task
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import BOOL
from gazami.cli.flags.option import Group, Option, Table
from gazami.cli.flags.options import LOGGING, STATE_DIR
from gazami.errors import HostError, UsageError

_USAGE = """\
Say what the state directory holds between builds, and remove it.

Usage:
  gazami state du [flags]
  gazami state prune [--layer-cache] [--cache-mounts] [--trees] [--all] [flags]

It holds the layers of earlier builds (see gazami cache), the directories of RUN --mount=type=cache, and the lists of files of
base images. prune always removes what killed builds have left; the rest only with its flag, and no cache mounts while a build runs.

Examples:
  gazami state du
  gazami state prune --all
"""

LAYER_CACHE = Option("layer-cache", BOOL, Group.SANDBOX, "Remove the layers of earlier builds.", "false")
CACHE_MOUNTS = Option("cache-mounts", BOOL, Group.SANDBOX, "Remove the directories of RUN --mount=type=cache.", "false")
TREES = Option("trees", BOOL, Group.SANDBOX, "Remove the lists of files of images.", "false")
ALL = Option("all", BOOL, Group.SANDBOX, "Remove all of these.", "false", shorthands="a")
JSON = Option("json", BOOL, Group.SANDBOX, "Answer in JSON.", "false")


def _state(flags: Flags, run: Execution) -> int:
    match flags.positionals:
        case ("du",):
            return _du(flags, run)
        case ("prune",):
            return _prune(flags, run)
        case _:
            raise UsageError("state needs du or prune", hint="write gazami state du")


def _du(flags: Flags, run: Execution) -> int:
    from gazami.builder.files.state_directory import claim
    from gazami.builder.files.state_usage import usage
    from gazami.cli.request.sandbox import state_dir
    from gazami.report.units import size

    place = claim(state_dir(flags[STATE_DIR], run.around))
    found = usage(place)
    if flags[JSON]:
        parts = {each.kind: {"bytes": each.size, "files": each.files} for each in found}
        run.say(json.dumps({"directory": str(place), **parts}, indent=2) + "\n")
        return 0
    run.say(f"{place}\n")
    for each in found:
        run.say(f"  {each.kind:<14}{size(each.size):>10}  {each.files} files\n")
    run.say(f"  {'together':<14}{size(sum(each.size for each in found)):>10}\n")
    return 0


def _prune(flags: Flags, run: Execution) -> int:
    from gazami.builder.files.state_directory import claim
    from gazami.builder.files.state_usage import Kind, empty, is_in_use, usage
    from gazami.cli.request.sandbox import state_dir
    from gazami.report.units import size

    place = claim(state_dir(flags[STATE_DIR], run.around))
    kinds: tuple[tuple[Kind, Option[bool] | None], ...] = (
        ("builds", None),
        ("layer cache", LAYER_CACHE),
        ("cache mounts", CACHE_MOUNTS),
        ("trees", TREES),
    )
    before = sum(each.size for each in usage(place))
    left = []
    for kind, option in kinds:
        if option is not None and not (flags[option] or flags[ALL]):
            continue
        if kind == "cache mounts" and is_in_use(place):
            raise HostError(
                "a build is running with this state directory, its cache mounts stay", hint="try again when it has ended"
            )
        if not empty(place, kind):
            left.append(kind)
    run.say(f"removed {size(max(0, before - sum(each.size for each in usage(place))))} from {place}\n")
    if left:
        hint = f"they have other owners in user namespaces; as root: rm -r {place}"
        raise HostError(f"cannot remove all files of: {', '.join(left)}", hint=hint)
    return 0


COMMAND = Command("state", _USAGE, Table((LAYER_CACHE, CACHE_MOUNTS, TREES, ALL, JSON, STATE_DIR, *LOGGING)), task(_state))
