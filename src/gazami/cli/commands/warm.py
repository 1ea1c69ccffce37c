"""``gazami warm``: kaniko's warmer, which fills the directory that ``--cache-dir`` names."""

from __future__ import annotations

import sys
from pathlib import Path

from gazami.cli.command import REGISTRY, TALKING, Command, Run, of_build
from gazami.cli.flags.argv import Parsed
from gazami.cli.flags.option import Group, Kind, Option, Table
from gazami.errors import Cancelled, GazamiError, RegistryError, UsageError
from gazami.events import Message

_USAGE = """\
Fill a directory with base images, for builds with --cache and --cache-dir.

Usage:
  gazami warm --image REF [--image REF …] [flags]
  gazami warm --dockerfile FILE [flags]

Images of a Dockerfile are the bases of all its stages. An image that cannot be fetched is a warning, unless all fail.

Examples:
  gazami warm --image debian:12 --image golang:1.23 --cache-dir /cache
  gazami warm --dockerfile Dockerfile --build-arg VERSION=12 --cache-dir /cache
"""


def _warm(parsed: Parsed, run: Run) -> int:
    from gazami.builder.inputs.base_cache import BaseCache
    from gazami.image.platform import host_platform, parse_platform
    from gazami.image.reference import parse_reference

    names = list(parsed.texts("image"))
    wanted = parsed.text("custom-platform")
    platform = parse_platform(wanted) if wanted else host_platform(run.around.machine)
    if parsed.text("dockerfile"):
        names += _bases(parsed, run)
    if not names:
        raise UsageError("you must select at least one image to cache or provide a dockerfile")
    cache = BaseCache(Path(parsed.text("cache-dir")), parsed.seconds("cache-ttl") or 0.0)
    failures = 0
    names = list(dict.fromkeys(names))
    with run.registry(parsed) as client:
        for name in names:
            try:
                reference = parse_reference(name)
                known = None if parsed.flag("force") else cache.image(reference, platform)
                if known is not None:
                    run.emit(Message("info", f"{name} is in the cache already"))
                    continue
                image = client.resolve(reference, platform)
                stored = cache.store(image, client, run.cancel, force=parsed.flag("force"))
                what = "is in the cache now" if stored else "is in the cache already"
                run.emit(Message("info", f"{name} {what}: {cache.folder / image.digest}"))
            except Cancelled:
                raise
            except GazamiError as error:
                failures += 1
                run.emit(Message("warning", f"{name} cannot be warmed: {error}"))
    if failures == len(names):
        raise RegistryError("failed to warm any of the given images")
    sys.stdout.flush()
    return 0


def _bases(parsed: Parsed, run: Run) -> list[str]:
    """The references that the stages of a Dockerfile are built from; build args win over its own defaults."""
    from gazami.cli.flags.argv import parse
    from gazami.cli.flags.options import BUILD
    from gazami.cli.reading import read_dockerfile
    from gazami.cli.request import build_request
    from gazami.dockerfile.parser import parse as parse_dockerfile
    from gazami.plan.outline import outline
    from gazami.plan.steps import ImageBase

    words = [
        "--no-push", "--context=.", f"--dockerfile={parsed.text('dockerfile')}",
        f"--custom-platform={parsed.text('custom-platform')}", *(f"--build-arg={arg}" for arg in parsed.texts("build-arg")),
    ]  # fmt: skip
    reading = read_dockerfile(build_request(parse(words, BUILD), run.around).request, knows_secrets=False)
    dockerfile = parse_dockerfile(reading.source)
    outlined = outline(dockerfile, reading.source, reading.inputs)
    return [stage.base.reference for stage in outlined.stages if isinstance(stage.base, ImageBase)]


COMMAND = Command(
    "warm",
    _USAGE,
    Table(
        (
            Option("image", Kind.MULTI, Group.BUILD, "An image to fetch.", metavar="REF", shorthands="i"),
            Option("dockerfile", Kind.STRING, Group.BUILD, "Fetch what this Dockerfile's stages are built from.", metavar="FILE",
                   shorthands="d"),
            Option("cache-dir", Kind.STRING, Group.CACHE, "The directory to fill.", default="/cache", metavar="DIR",
                   shorthands="c"),
            Option("force", Kind.BOOL, Group.CACHE, "Fetch also what is there already.", default="false", shorthands="f"),
            *of_build("build-arg", "cache-ttl", "custom-platform", *REGISTRY, *TALKING),
        )
    ),
    _warm,
)  # fmt: skip
