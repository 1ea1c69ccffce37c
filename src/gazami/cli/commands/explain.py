"""``gazami cache explain``: why a step is not found in the layer cache."""

from __future__ import annotations

from gazami.cli.command import Command, Execution, task
from gazami.cli.commands.build import COMMAND as BUILD_COMMAND
from gazami.cli.commands.build import own_cache
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.options import CACHE, NO_PUSH, NO_PUSH_CACHE
from gazami.errors import UsageError

_USAGE = """\
Say which steps a build would find in the layer cache, and why the first of each stage is not there. Nothing is built.

Usage:
  gazami cache explain [CONTEXT] [flags of gazami build]

Examples:
  gazami cache explain
  gazami cache explain . -t registry.example.com/app --cache
"""

_UNKNOWN = "no earlier build stored a layer for this step of the Dockerfile"


def _explain(flags: Flags, run: Execution) -> int:
    """Which steps a build with these flags would find, and what differs for the first of each stage that it would not."""
    from gazami.builder.attempt import attempt
    from gazami.builder.inputs.prepared import prepared
    from gazami.cli.request.build import build_request
    from gazami.foreign import printable
    from gazami.plan.steps import MetadataStep
    from gazami.report.summary import shorten

    if flags[NO_PUSH]:
        flags = flags.having(CACHE, "true")
    own = own_cache(flags, run.around)
    flags = flags if own else flags.having(CACHE, "true")
    request = build_request(flags.having(NO_PUSH_CACHE, "true"), run.around, own_cache=own).request
    with prepared(request, run.emit, run.cancel) as ready, attempt(request, ready, run.emit, run.cancel) as tried:
        if (caching := tried.cache) is None:
            raise UsageError("cache explain needs a cache", hint="add --cache-repo or --destination")
        caching.look_up(tried.sources.trees.kept)
        for stage in ready.plan.stages:
            told = False
            for position, step in enumerate(stage.steps):
                if isinstance(step, MetadataStep):
                    continue
                cached = caching.is_cacheable(stage, position)
                word = "HIT " if (stage.number, position) in caching.hits else "MISS" if cached else "run "
                run.say(f"{word}  [{stage.name or stage.number}] {shorten(printable(step.common.text), 100)}\n")
                if word == "MISS" and not told:
                    told = True
                    for line in caching.explain(stage, position, fully=True) or (_UNKNOWN,):
                        run.say(f"        {printable(line)}\n")
    return 0


COMMAND = Command(
    "cache explain", _USAGE, BUILD_COMMAND.table, task(_explain), elsewhere=BUILD_COMMAND.elsewhere, reads_files="project",
    prepare=BUILD_COMMAND.prepare,
)  # fmt: skip
