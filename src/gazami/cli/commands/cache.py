"""``gazami cache``: look into the layer cache, and make it smaller."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gazami.cli.command import Command, Execution, task
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import BOOL, DURATION, SIZE, optional, places
from gazami.cli.flags.option import Group, Option, Table
from gazami.cli.flags.options import LOGGING, REGISTRY, STATE_DIR
from gazami.errors import UsageError

if TYPE_CHECKING:
    from gazami.cache.store import CacheStore, Listed

_WIDTH = 100
"""Characters of a step that a row shows."""

_USAGE = """\
Look into the layer cache, and make it smaller.

Usage:
  gazami cache du [CACHE] [flags]
  gazami cache ls [CACHE] [flags]
  gazami cache prune [CACHE] --older-than DURATION [flags]
  gazami cache prune [CACHE] --unused-for DURATION [flags]
  gazami cache prune [CACHE] --max-size SIZE [flags]

CACHE is what --cache-repo names: a repository, several (a,b,c), or oci:DIR. Without it: this machine's own cache, in the state
directory.
A registry must allow deletions, and frees the space with its own garbage collection; it does not know when an entry was last
used, so there --unused-for counts from when it was made.

Examples:
  gazami cache ls
  gazami cache ls registry.example.com/app/cache
  gazami cache prune oci:/var/cache/gazami --max-size 10g --dry-run
"""

OLDER_THAN = Option("older-than", optional(DURATION), Group.CACHE, "Remove what is older.", metavar="DURATION")
UNUSED_FOR = Option("unused-for", optional(DURATION), Group.CACHE, "Remove what has not been used for so long.", metavar="DURATION")
MAX_SIZE = Option(
    "max-size", optional(SIZE), Group.CACHE, "Remove the least recently used until the rest is this small.", metavar="SIZE"
)
DRY_RUN = Option("dry-run", BOOL, Group.CACHE, "Only say what would be removed.", "false")
JSON = Option("json", BOOL, Group.CACHE, "List as JSON, with the inputs of each key.", "false")


def _cache(flags: Flags, run: Execution) -> int:
    match flags.positionals:
        case ("ls", *rest) if len(rest) < 2:
            return _list(_place(rest, flags, run), flags, run)
        case ("du", *rest) if len(rest) < 2:
            return _du(_place(rest, flags, run), flags, run)
        case ("prune", *rest) if len(rest) < 2:
            return _prune(_place(rest, flags, run), flags, run)
        case _:
            raise UsageError("cache needs ls, du or prune", hint="write gazami cache ls [CACHE], or gazami cache explain")


def _place(given: list[str], flags: Flags, run: Execution) -> str:
    """The cache that was named, else this machine's own."""
    if given:
        return given[0]
    from gazami.builder.files.state_directory import claim
    from gazami.cli.request.sandbox import state_dir

    return f"oci:{claim(state_dir(flags[STATE_DIR], run.around)) / 'cache'}"


def _list(place: str, flags: Flags, run: Execution) -> int:
    from gazami.builder.cached.places import open_stores_of

    with run.registry(flags) as client:
        listed = _in_order(open_stores_of(places(place), client))
    if flags[JSON]:
        run.say(json.dumps([_facts(each) for each in listed], indent=2) + "\n")
        return 0
    if listed:
        run.say(f"{'KEY':<12}  {'USED':>9}  {'SIZE':>9}  STEP\n")
    _say_rows(listed, run)
    run.say(_sum(listed))
    return 0


def _du(place: str, flags: Flags, run: Execution) -> int:
    from gazami.builder.cached.places import open_stores_of

    with run.registry(flags) as client:
        listed = _in_order(open_stores_of(places(place), client))
    bases = [each for each in listed if each.tag.startswith("base-")]
    for name, part in (("steps", [each for each in listed if each not in bases]), ("base images", bases)):
        run.say(f"{name:<12} {_sum(part)}")
    run.say(f"{'together':<12} {_sum(listed)}")
    return 0


def _say_rows(listed: list[Listed], run: Execution) -> None:
    """A row for each layer: a step has a key for its Dockerfile and one for the files below it."""
    from gazami.foreign import printable
    from gazami.report.units import size

    seen: set[object] = set()
    for each in listed:
        blob = each.entry.subject
        if (one := (blob, each.entry.text)) not in seen:
            seen.add(one)
            what = size(blob.size) if blob is not None else "-"
            run.say(f"{each.tag[:12]}  {_ago(each):>9}  {what:>9}  {printable(_shortened(each.entry.text))}\n")


def _shortened(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _sum(listed: list[Listed]) -> str:
    from gazami.cache.prune import total_size
    from gazami.report.units import size

    count = len({(each.entry.subject, each.entry.text) for each in listed})
    return f"{count} {'entry' if count == 1 else 'entries'}, {size(total_size(listed))}\n"


def _prune(place: str, flags: Flags, run: Execution) -> int:
    from gazami.builder.cached.places import open_stores_of
    from gazami.cache.prune import to_prune

    older, unused, largest = flags[OLDER_THAN], flags[UNUSED_FOR], flags[MAX_SIZE]
    if older is None and unused is None and largest is None:
        raise UsageError("prune needs a limit", hint="give --older-than 720h, --unused-for 168h or --max-size 10g")
    with run.registry(flags) as client:
        store = open_stores_of(places(place), client)
        gone = to_prune(store.entries(), datetime.now(UTC), older_than=older, unused_for=unused, max_size=largest)
        if gone and not flags[DRY_RUN]:
            store.remove(*(each.tag for each in gone))
    shown = [each for each in gone if not each.tag.startswith("near-")]
    _say_rows(shown, run)
    run.say(f"{'would remove' if flags[DRY_RUN] else 'removed'} {_sum(shown)}")
    return 0


def _in_order(store: CacheStore) -> list[Listed]:
    """Newest first; the entries that only explain misses (``near-``) are left out."""
    found = [each for each in store.entries() if not each.tag.startswith("near-")]
    return sorted(found, key=lambda each: each.entry.created, reverse=True)


def _facts(each: Listed) -> dict[str, object]:
    entry = each.entry
    return {
        "tag": each.tag,
        "text": entry.text,
        "created": entry.created.isoformat(),
        "used": each.used.isoformat() if each.used else None,
        "digest": entry.layer.digest if entry.layer else None,
        "size": entry.layer.size if entry.layer else None,
        "diffId": entry.diff_id,
        "inputs": dict(entry.inputs),
    }


def _ago(each: Listed) -> str:
    from gazami.cache.prune import last_used

    hours = (datetime.now(UTC) - last_used(each)).total_seconds() / 3600
    return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"


COMMAND = Command(
    "cache", _USAGE, Table((OLDER_THAN, UNUSED_FOR, MAX_SIZE, DRY_RUN, JSON, STATE_DIR, *REGISTRY, *LOGGING)), task(_cache)
)
