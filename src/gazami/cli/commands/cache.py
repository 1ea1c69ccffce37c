"""``gazami cache``: look into the layer cache, make it smaller, and ask why a step is not found in it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gazami.cli.command import REGISTRY, TALKING, Command, Run, of_build
from gazami.cli.flags.argv import Parsed
from gazami.cli.flags.option import Group, Kind, Option, Table
from gazami.cli.flags.options import BUILD
from gazami.errors import UsageError

if TYPE_CHECKING:
    from gazami.cache.store import CacheStore, Listed

_USAGE = """\
Look into the layer cache, make it smaller, ask why a step is not found in it.

Usage:
  gazami cache ls PLACE [flags]
  gazami cache prune PLACE --older-than DURATION | --unused-for DURATION | --max-size SIZE [flags]
  gazami cache explain [CONTEXT] [flags of gazami build]

PLACE is what --cache-repo names: a repository, or oci:DIR. A registry must allow deletions, and frees the space with its own
garbage collection; it does not know when an entry was last used, so there --unused-for counts from when it was made.

Examples:
  gazami cache ls registry.example.com/app/cache
  gazami cache prune oci:/var/cache/gazami --max-size 10g --dry-run
  gazami cache explain . -t registry.example.com/app --cache-copy-layers
"""


def _cache(parsed: Parsed, run: Run) -> int:
    match parsed.positionals:
        case ("ls", place):
            return _list(place, parsed, run)
        case ("prune", place):
            return _prune(place, parsed, run)
        case _:
            raise UsageError("what is to be done? ls PLACE, prune PLACE, or explain")


def _list(place: str, parsed: Parsed, run: Run) -> int:
    from gazami.builder.cached.places import open_store
    from gazami.cache.prune import total_size

    with run.registry(parsed) as client:
        listed = _in_order(open_store(place, client))
    if parsed.flag("json"):
        sys.stdout.write(json.dumps([_facts(each) for each in listed], indent=2) + "\n")
        return 0
    from gazami.foreign import printable
    from gazami.report.units import size

    for each in listed:
        blob = each.entry.layer or each.entry.index
        what = size(blob.size) if blob is not None else "-"
        sys.stdout.write(f"{each.tag[:12]}  {_ago(each):>9}  {what:>9}  {printable(each.entry.text)[:100]}\n")
    sys.stdout.write(f"{len(listed)} entries, {size(total_size(listed))}\n")
    return 0


def _prune(place: str, parsed: Parsed, run: Run) -> int:
    from gazami.builder.cached.places import open_store
    from gazami.cache.prune import to_prune, total_size
    from gazami.foreign import printable
    from gazami.report.units import size

    older, unused, largest = parsed.seconds("older-than"), parsed.seconds("unused-for"), parsed.text("max-size")
    if older is None and unused is None and not largest:
        raise UsageError("what is to be pruned?", hint="--older-than 720h, --unused-for 168h, --max-size 10g")
    with run.registry(parsed) as client:
        store = open_store(place, client)
        gone = to_prune(
            store.entries(), datetime.now(UTC), older_than=older, unused_for=unused,
            max_size=_bytes(largest) if largest else None,
        )  # fmt: skip
        if gone and not parsed.flag("dry-run"):
            store.remove(*(each.tag for each in gone))
        for each in gone:
            sys.stdout.write(f"{each.tag[:12]}  {_ago(each):>9}  {printable(each.entry.text)[:100]}\n")
    verb = "would be removed" if parsed.flag("dry-run") else "removed"
    sys.stdout.write(f"{len(gone)} entries {verb}, {size(total_size(gone))}\n")
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


def _bytes(text: str) -> int:
    number, unit = text.lower().removesuffix("b"), 1
    if number[-1:] in ("k", "m", "g", "t"):
        number, unit = number[:-1], 1 << {"k": 10, "m": 20, "g": 30, "t": 40}[number[-1:]]
    if not (number.isascii() and number.isdigit()):
        raise UsageError(f"invalid value {text!r} for --max-size", hint="a size such as 500m or 10g")
    return int(number) * unit


# -- explain ----------------------------------------------------------------------------------------------------------


def _explain(parsed: Parsed, run: Run) -> int:
    """Which steps a build with these flags would find, and what differs for the first of each stage that it would not."""
    from dataclasses import replace

    from gazami.builder.attempt import attempt
    from gazami.builder.inputs.prepared import prepared
    from gazami.cli.request import build_request
    from gazami.foreign import printable
    from gazami.plan.steps import MetadataStep

    wished = replace(parsed, values={**parsed.values, "cache": True, "no-push-cache": True})
    request = build_request(wished, run.around).request
    with (
        prepared(request, run.emit, run.cancel) as ready,
        attempt(request, ready, run.emit, run.cancel) as tried,
    ):
        if (caching := tried.cache) is None:
            raise UsageError("there is no cache to look into", hint="give --cache-repo or a --destination")
        caching.look_up()
        for stage in ready.plan.stages:
            told = False
            for position, step in enumerate(stage.steps):
                if isinstance(step, MetadataStep):
                    continue
                cached = caching.is_cacheable(stage, position)
                word = "HIT " if (stage.index, position) in caching.hits else "MISS" if cached else "run "
                sys.stdout.write(f"{word}  [{stage.name or stage.index}] {printable(step.common.text)[:100]}\n")
                if word == "MISS" and not told:
                    told = True
                    lines = caching.explain_fully(stage, position)
                    sys.stdout.writelines(f"        {printable(line)}\n" for line in lines)
    return 0


COMMAND = Command(
    "cache",
    _USAGE,
    Table(
        (
            Option("older-than", Kind.DURATION, Group.CACHE, "Remove what was made longer ago.", metavar="DURATION"),
            Option("unused-for", Kind.DURATION, Group.CACHE, "Remove what has not been used for so long.", metavar="DURATION"),
            Option("max-size", Kind.STRING, Group.CACHE, "Remove the least recently used until the rest is this small.",
                   metavar="SIZE"),
            Option("dry-run", Kind.BOOL, Group.CACHE, "Only say what would be removed.", "false"),
            Option("json", Kind.BOOL, Group.CACHE, "List as JSON, with the inputs of each key.", "false"),
            *of_build(*REGISTRY, *TALKING),
        )
    ),
    _cache,
)  # fmt: skip
EXPLAIN = Command("cache explain", _USAGE, BUILD, _explain)


def command_for(words: list[str]) -> tuple[Command, list[str]]:
    """``explain`` has the flags of a build."""
    return (EXPLAIN, words[1:]) if words[:1] == ["explain"] else (COMMAND, words)
