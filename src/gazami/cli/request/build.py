"""Flags and surroundings → BuildRequest: a pure function that checks what kaniko checks, in its order."""

from __future__ import annotations

from gazami.builder.request import BuildRequest, SnapshotOptions
from gazami.cli.environ import Surroundings
from gazami.cli.flags.argv import Flags, changed
from gazami.cli.flags.docker import DOCKER
from gazami.cli.flags.options import (
    BUILD,
    CACHED_ONLY,
    CREATE_REPOSITORY,
    DRYRUN,
    OUTPUT,
    REPRODUCIBLE,
    SINGLE_SNAPSHOT,
    SNAPSHOT_MODE,
    TARGET,
)
from gazami.cli.request.cache import cache_options
from gazami.cli.request.context import context_options
from gazami.cli.request.credentials import credential_options, unknown_helpers
from gazami.cli.request.exports import read_outputs
from gazami.cli.request.output import output_options, unused_annotations
from gazami.cli.request.plan import plan_options
from gazami.cli.request.registry import registry_options
from gazami.cli.request.sandbox import sandbox_options
from gazami.errors import UsageError
from gazami.events import Level, Message
from gazami.values import fast_dataclass, replace

_UNUSED_VARIABLES = ("KANIKO_TELEMETRY_ENDPOINT", "STACKLOG_PATH", "BENCHMARK_FILE")


@fast_dataclass(frozen=True, slots=True)
class Wanted:
    """The request, and what there is to say about flags and variables before the build starts."""

    request: BuildRequest
    messages: tuple[Message, ...]
    loads: bool = False
    """Whether docker or podman is to get the image."""


def build_request(flags: Flags, around: Surroundings, *, own_cache: str = "") -> Wanted:
    """Raises :class:`UsageError`. ``own_cache`` is the folder of this machine's own cache, where it is used. ``flags`` have the
    environment's defaults already (``argv.with_environment``)."""
    context = context_options(flags, around)
    plan, unset = plan_options(flags, around)
    sandbox = sandbox_options(flags, around)
    output = output_options(flags, around, plan.platform)
    request = BuildRequest(
        context=context,
        plan=plan,
        sandbox=sandbox,
        output=output,
        registry=registry_options(flags, around),
        credentials=credential_options(flags, around),
        create_repositories=flags[CREATE_REPOSITORY],
        snapshot=SnapshotOptions(flags[SNAPSHOT_MODE], flags[SINGLE_SNAPSHOT], flags[REPRODUCIBLE]),
        cache=cache_options(flags, around.cwd, push_image=output.push, own=own_cache),
        dryrun=flags[DRYRUN],
        print_plan=bool(around.environ.get("KANIKO_PRINT_PLAN")),
    )
    if flags[CACHED_ONLY]:
        request = _probe(request)
    messages = (*_messages(flags, around), *unset, *unused_annotations(flags, plan.platform))
    return Wanted(request, messages, read_outputs(flags[OUTPUT], around.cwd).loads)


def _probe(request: BuildRequest) -> BuildRequest:
    """The same build, which only asks the cache and leaves nothing but the files of digests."""
    from gazami.builder.cached.places import main_places

    if not request.cache.enabled:
        raise UsageError("--cached-only needs a cache", hint="add --cache, and the other flags of the build that fills it")
    output = request.output
    if output.tar_paths or output.oci_layout_paths or output.exports:
        raise UsageError("--cached-only writes no image", hint="leave out --tar-path, --oci-layout-path and --output")
    return replace(
        request,
        output=replace(output, push=False, existing="push", index=None),
        cache=replace(request.cache, use="probe", repositories=main_places(request.cache, output)),
        create_repositories=False,
    )


def _messages(flags: Flags, around: Surroundings) -> list[Message]:
    """Deprecated spellings, flags that were set and do nothing, and variables of kaniko that do nothing."""
    said: list[tuple[Level, str]] = [("warning", text) for text in (*flags.notices, *around.warnings)]
    said += [("warning", text) for text in unknown_helpers(flags)]
    if left_out := flags[TARGET][1:]:
        said.append(("warning", f"--target: only the first stage is built, {', '.join(left_out)} left out"))
    for option in (*changed(flags, BUILD), *changed(flags, DOCKER)):
        if option.unused:
            said.append(("info", f"--{option.name} has no effect in gazami: {option.unused}"))
    for name in _UNUSED_VARIABLES:
        if around.environ.get(name):
            said.append(("warning", f"the variable {name} is not effective yet"))
    features = sorted(name for name in around.environ if name.startswith("FF_KANIKO_"))
    if features:
        said.append(("info", f"{', '.join(features)}: feature flags have no effect, gazami does what Docker does"))
    return [Message(level, text) for level, text in said]
