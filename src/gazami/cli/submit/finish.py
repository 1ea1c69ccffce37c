"""From running Jobs to what a build leaves on this machine: the view, the index of several platforms, the files of digests."""

from __future__ import annotations

from gazami.builder.inputs.registries import open_registry
from gazami.builder.outputs.digest_files import digest_files, write_text
from gazami.builder.outputs.existing import skipped
from gazami.builder.outputs.platform_index import assemble
from gazami.builder.request import BuildRequest, IndexOptions
from gazami.cancel import Cancel
from gazami.cli.command import Execution
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.options import QUIET
from gazami.cli.submit import flags as submit
from gazami.cli.submit.follow import Connection, Intake, Submitted
from gazami.errors import ClusterError, GazamiError, RegistryError
from gazami.events import BuildFinished, Emit, Exported, Message, discard
from gazami.image.platform import Platform
from gazami.image.reference import Reference, parse_reference
from gazami.kubernetes.job import Build
from gazami.kubernetes.options import PodOptions
from gazami.registry.client import RegistryClient
from gazami.registry.wire import redact
from gazami.report.together import Named
from gazami.values import fast_dataclass, replace

EVENTS = "--log-format=events"


@fast_dataclass(frozen=True, slots=True)
class Wanted:
    """What a submit is to do, checked. ``platforms`` is empty for "whatever the node is"; there are no ``pods`` to make where it is
    only attached."""

    request: BuildRequest
    platforms: tuple[Platform, ...]
    pods: PodOptions | None
    run: str


def followed(
    flags: Flags,
    wanted: Wanted,
    builds: tuple[Build, ...],
    cluster: Connection,
    client: RegistryClient,
    run: Execution,
    *,
    owned: bool,
) -> int:
    """Follow the Jobs, then write what was asked for; returns the exit status. Jobs that are not ``owned`` are never deleted."""
    names = [Named(str(each), number) for number, each in enumerate(wanted.platforms)] if len(builds) > 1 else [None]
    intakes = tuple(Intake(run.emit, named) for named in names)
    end = Submitted(builds, intakes, cluster, run.emit, owned).follow(run.cancel, flags[submit.START_TIMEOUT])
    if end is None:
        if any(EVENTS in build.arguments for build in builds):
            raise ClusterError("the build is good, but its log does not say what it made", hint="look into the registry")
        run.emit(Message("info", "The build is good. Its log is text, which does not say the digest"))
        return 0
    if len(builds) > 1:
        end = _with_index(end, wanted, client, run.emit)
        run.emit(end)
    _write_files(end, wanted.request, client, run.emit)
    if flags[QUIET]:
        run.say(f"{end.digest}\n")
    return 0


def exists_already(request: BuildRequest, client: RegistryClient, emit: Emit) -> bool:
    """Whether ``--if-exists`` makes a Job needless; the digest is written then. What this machine may not ask, the pod asks."""
    if request.output.existing == "push":
        return False
    try:
        return skipped(request.output, client, emit) is not None
    except RegistryError as error:
        emit(Message("debug", f"the destinations are looked at in the cluster: {error.message}"))
        return False


def _with_index(end: BuildFinished, wanted: Wanted, client: RegistryClient, emit: Emit) -> BuildFinished:
    """The end with the index's digest; a registry that did not show the last builds each other's images gets it from here."""

    if end.digest:
        return end
    references = tuple(parse_reference(text) for text in wanted.request.output.destinations)
    made = assemble(IndexOptions(wanted.platforms, wanted.run), references, client, emit)
    if made is None:
        raise RegistryError("all images are pushed, but the registry does not list all of them: the index is missing")
    return replace(end, digest=made.digest, image_id=made.digest)


def _write_files(end: BuildFinished, request: BuildRequest, client: RegistryClient, emit: Emit) -> None:

    references = tuple(parse_reference(text) for text in request.output.destinations)
    for place, text in digest_files(request.output.files, references, end.image_id, end.digest, pushed=request.output.push):
        write_text(place, text, client.transport)
        emit(Exported("file", redact(place), end.digest))


def delete_context(artifact: Reference, request: BuildRequest, run: Execution) -> None:
    """The context's artifact, also after Ctrl-C: by a client that no signal stops. Its layer is the registry's to collect."""

    try:
        with open_registry(request.registry, request.credentials, discard, Cancel()) as client:
            client.delete_manifest(artifact)
    except GazamiError as error:
        run.emit(Message("debug", f"the context {artifact} stays in the registry: {error.message}"))
