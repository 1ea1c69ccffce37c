"""``gazami warm``: kaniko's warmer, which fills the directory that ``--cache-dir`` names."""

from __future__ import annotations

from pathlib import Path

from gazami.cli.command import Command, Execution, task
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import BOOL, LIST, PLACES, STRING
from gazami.cli.flags.option import Group, Option, Table
from gazami.cli.flags.options import BUILD_ARG, CACHE_TTL, CUSTOM_PLATFORM, LOGGING, REGISTRY
from gazami.errors import Cancelled, GazamiError, RegistryError, UsageError
from gazami.events import Message

_USAGE = """\
Fill a directory with base images, for builds with --cache and --cache-dir.

Usage:
  gazami warm --image REF [--image REF …] [flags]
  gazami warm --dockerfile FILE [flags]

Images of a Dockerfile are the bases of all its stages. An image that cannot be fetched is a warning, unless all fail.
The files of each image are listed too, so that builds that only copy onto it read none of its layers. With --cache-repo the
lists go to the layer cache as well, where builds without the directory find them.

Examples:
  gazami warm --image debian:12 --image golang:1.23 --cache-dir /cache
  gazami warm --dockerfile Dockerfile --build-arg VERSION=12 --cache-dir /cache
"""

IMAGE = Option("image", LIST, Group.BUILD, "An image to fetch.", metavar="REF", shorthands="i")
DOCKERFILE = Option(
    "dockerfile", STRING, Group.BUILD, "Fetch the base images of this Dockerfile's stages.", metavar="FILE", shorthands="d"
)
CACHE_DIR = Option("cache-dir", STRING, Group.CACHE, "The directory to fill.", default="/cache", metavar="DIR", shorthands="c")
CACHE_REPO = Option(
    "cache-repo", PLACES, Group.CACHE, "A layer cache that gets the lists of the images' files too.", metavar="REPO|oci:DIR"
)
FORCE = Option("force", BOOL, Group.CACHE, "Fetch also what is there already.", default="false", shorthands="f")


def _warm(flags: Flags, run: Execution) -> int:
    from gazami.builder.cached.places import open_stores_of
    from gazami.builder.cached.warmed_trees import WarmedTrees
    from gazami.builder.inputs.base_cache import BaseCache
    from gazami.cli.request.plan import platform_of
    from gazami.image.reference import parse_reference

    names = list(flags[IMAGE])
    platform = platform_of(flags, run.around)
    if flags[DOCKERFILE]:
        names += _bases(flags, run)
    if not names:
        raise UsageError("you must select at least one image to cache or provide a dockerfile")
    cache = BaseCache(Path(flags[CACHE_DIR]), flags[CACHE_TTL])
    failures = 0
    names = list(dict.fromkeys(names))
    with run.registry(flags, *flags[IMAGE]) as client:
        layers = open_stores_of(flags[CACHE_REPO], client) if flags[CACHE_REPO] else None
        listing = WarmedTrees(cache, client, layers, run.emit, run.cancel)
        for name in names:
            try:
                reference = parse_reference(name)
                known = None if flags[FORCE] else cache.image(reference, platform)
                image = known or client.resolve(reference, platform)
                stored = known is None and cache.store(image, client, run.cancel, force=flags[FORCE])
                listing.store(image)
                what = "is in the cache now" if stored else "is in the cache already"
                run.emit(Message("info", f"{name} {what}: {cache.folder / image.digest}"))
            except Cancelled:
                raise
            except GazamiError as error:
                failures += 1
                run.emit(Message("warning", f"cannot warm {name}: {error}"))
    if failures == len(names):
        raise RegistryError("failed to warm any of the given images")
    return 0


def _bases(flags: Flags, run: Execution) -> list[str]:
    """The references that the stages of a Dockerfile are built from; build args win over its own defaults."""
    from gazami.cli.commands.dockerfile import read_dockerfile, request_of
    from gazami.dockerfile.parser import parse
    from gazami.plan.outline import outline
    from gazami.plan.steps import ImageBase

    request = request_of(flags, run.around, context=".", dockerfile=flags[DOCKERFILE])
    reading = read_dockerfile(request, knows_secrets=False)
    outlined = outline(parse(reading.source), reading.source, reading.inputs)
    return [stage.base.reference for stage in outlined.stages if isinstance(stage.base, ImageBase)]


COMMAND = Command(
    "warm",
    _USAGE,
    Table((IMAGE, DOCKERFILE, CACHE_DIR, CACHE_REPO, FORCE, BUILD_ARG, CACHE_TTL, CUSTOM_PLATFORM, *REGISTRY, *LOGGING)),
    task(_warm),
)
