"""``gazami submit``: a build as a Job of a cluster, seen from here as if it ran here."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from gazami.cli.command import Command, Execution, task
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.options import BUCKET, CONTEXT, CUSTOM_PLATFORM, LOG_FORMAT, QUIET
from gazami.cli.submit import flags as submit
from gazami.errors import GazamiError, UsageError
from gazami.values import fast_dataclass, replace

if TYPE_CHECKING:
    from gazami.builder.request import BuildRequest
    from gazami.cli.submit.context import Placed
    from gazami.cli.submit.submission import Sent
    from gazami.events import BuildFinished, Emit
    from gazami.image.platform import Platform
    from gazami.image.reference import Reference
    from gazami.kubernetes.cluster import Cluster
    from gazami.kubernetes.follow import Api
    from gazami.kubernetes.job import Build, PodOptions
    from gazami.registry.client import RegistryClient


@fast_dataclass(frozen=True, slots=True)
class Wanted:
    """What a submit is to do, checked. ``platforms`` is empty for "whatever the node is"."""

    request: BuildRequest
    platforms: tuple[Platform, ...]
    pods: PodOptions
    run: str


def _submit(flags: Flags, run: Execution) -> int:
    from gazami.builder.files.workspace import Workspace
    from gazami.cli.submit.context import place_context, told

    wanted = _wanted(flags, run)
    cluster_type = _kubernetes()
    request = wanted.request
    with Workspace(request.sandbox.state_dir) as workspace, run.registry(flags) as client:
        if flags[submit.PRINT]:
            placed = place_context(request, wanted.run, workspace, client, run.emit, run.cancel, push=False)
            sent = placed.sent + _credentials(wanted, placed, client)  # they are not printed, but shape the Job
            run.say(_manifests(_builds(flags, wanted, sent), wanted.pods))
            return 0
        with cluster_type(flags[submit.KUBE_CONTEXT], flags[submit.NAMESPACE], run.cancel.wait) as cluster:
            placed = place_context(request, wanted.run, workspace, client, run.emit, run.cancel, push=True)
            told(placed, run.emit)
            try:
                sent = placed.sent + _credentials(wanted, placed, client)
                return _through(flags, wanted, _builds(flags, wanted, sent), cluster, client, run)
            finally:
                if placed.artifact is not None and not flags[submit.DETACH]:
                    _delete(placed.artifact, request, run)


def _wanted(flags: Flags, run: Execution) -> Wanted:
    from gazami.cli.environ import require_secret_files
    from gazami.cli.request.build import build_request
    from gazami.cli.submit.submission import check_no_credentials, check_possible
    from gazami.image.platform import parse_platform
    from gazami.kubernetes.job import PodOptions

    if not flags[submit.KUBERNETES]:
        raise UsageError("submit needs --kubernetes", hint="gazami build builds on this machine")
    check_possible(flags)
    platforms = tuple(dict.fromkeys(parse_platform(text) for text in flags[submit.PLATFORMS]))
    found = build_request(_as_build(flags, platforms), run.around)
    for message in found.messages:
        run.emit(message)
    check_no_credentials("--context", found.request.context.context)
    check_no_credentials("--dockerfile", found.request.context.dockerfile)
    require_secret_files(found.request.sandbox.secrets)
    if len(platforms) > 1 and not found.request.output.push:
        raise UsageError("several platforms need a --destination: the images meet in its registry")
    image = flags[submit.EXECUTOR_IMAGE]
    if not image:
        raise UsageError(
            "submit needs --executor-image, the image that runs the build",
            hint="make images IMAGE_REPO=… builds and pushes it; GAZAMI_EXECUTOR_IMAGE names it once for all",
        )
    pods = PodOptions(
        image,
        service_account=flags[submit.SERVICE_ACCOUNT],
        docker_config_secret=flags[submit.DOCKER_CONFIG_SECRET],
        environment_secrets=flags[submit.ENV_FROM_SECRET],
        node_selector=flags[submit.NODE_SELECTOR],
        user_namespace=flags[submit.USER_NAMESPACE],
        cpu=flags[submit.CPU],
        memory=flags[submit.MEMORY],
        timeout=flags[submit.JOB_TIMEOUT],
        keep=flags[submit.KEEP],
    )
    return Wanted(found.request, platforms, pods, secrets.token_hex(5))


def _as_build(flags: Flags, platforms: tuple[Platform, ...]) -> Flags:
    """The flags as ``gazami build`` has them: one platform, and the working directory instead of kaniko's default context."""
    flags = flags.having(CUSTOM_PLATFORM, str(platforms[0]) if platforms else "")
    here = not flags.positionals and not flags.given(CONTEXT) and not flags[BUCKET]
    return flags.having(CONTEXT, ".") if here else flags


def _kubernetes() -> type[Cluster]:
    try:
        from gazami.kubernetes.cluster import Cluster
    except ImportError as cause:
        raise UsageError(
            f"gazami submit needs the Python package {cause.name}, which is not installed", hint="run pip install 'gazami[k8s]'"
        ) from None
    return Cluster


def _credentials(wanted: Wanted, placed: Placed, client: RegistryClient) -> Sent:
    from gazami.cli.submit.context import credentials
    from gazami.cli.submit.submission import Sent
    from gazami.kubernetes.job import DOCKER_CONFIG

    if wanted.pods.docker_config_secret:
        return Sent()
    found = credentials(wanted.request, placed, client)
    return Sent((), {DOCKER_CONFIG: found}) if found else Sent()


def _builds(flags: Flags, wanted: Wanted, own: Sent) -> tuple[Build, ...]:
    """A Job for each platform."""
    from gazami.cli.submit.submission import sent
    from gazami.kubernetes.job import Build

    everything = own + sent(flags, wanted.request)
    logging = (f"--log-format={(flags[LOG_FORMAT] or 'text') if flags[submit.DETACH] else 'events'}",)
    name = f"gazami-{wanted.run}"
    if not wanted.platforms:
        return (Build(name, wanted.run, (*everything.arguments, *logging), "", everything.files),)
    several = len(wanted.platforms) > 1
    index = (f"--index={','.join(map(str, wanted.platforms))}", f"--index-run={wanted.run}") if several else ()
    return tuple(
        Build(
            f"{name}-{str(each).replace('/', '-')}" if several else name,
            wanted.run,
            (*everything.arguments, f"--custom-platform={each}", *index, *logging),
            each.architecture,
            everything.files,
        )
        for each in wanted.platforms
    )


def _through(flags: Flags, wanted: Wanted, builds: tuple[Build, ...], cluster: Api, client: RegistryClient, run: Execution) -> int:
    from gazami.cli.submit.follow import Intake, Submitted
    from gazami.report.together import Named

    names = [Named(str(each), number) for number, each in enumerate(wanted.platforms)] if len(builds) > 1 else [None]
    intakes = tuple(Intake(run.emit, named) for named in names)
    submitted = Submitted(builds, intakes, wanted.pods, cluster, run.emit)
    submitted.create()
    if flags[submit.DETACH]:
        run.say("".join(f"{build.name}\n" for build in builds))
        return 0
    end = submitted.follow(run.cancel, flags[submit.START_TIMEOUT])
    if len(builds) > 1:
        end = _with_index(end, wanted, client, run.emit)
        run.emit(end)
    _write_files(end, wanted.request, client, run.emit)
    if flags[QUIET]:
        run.say(f"{end.digest}\n")
    return 0


def _with_index(end: BuildFinished, wanted: Wanted, client: RegistryClient, emit: Emit) -> BuildFinished:
    """The end with the index's digest; a registry that did not show the last builds each other's images gets it from here."""
    from gazami.builder.outputs.platform_index import assemble
    from gazami.builder.request import IndexOptions
    from gazami.errors import RegistryError
    from gazami.image.reference import parse_reference

    if end.digest:
        return end
    references = tuple(parse_reference(text) for text in wanted.request.output.destinations)
    made = assemble(IndexOptions(wanted.platforms, wanted.run), references, client, emit)
    if made is None:
        raise RegistryError("all images are pushed, but the registry does not list all of them: the index is missing")
    return replace(end, digest=made.digest, image_id=made.digest)


def _write_files(end: BuildFinished, request: BuildRequest, client: RegistryClient, emit: Emit) -> None:
    from gazami.builder.outputs.digest_files import digest_files, write_text
    from gazami.events import Exported
    from gazami.image.reference import parse_reference
    from gazami.registry.wire import redact

    references = tuple(parse_reference(text) for text in request.output.destinations)
    for place, text in digest_files(request.output.files, references, end.image_id, end.digest, pushed=request.output.push):
        write_text(place, text, client.transport)
        emit(Exported("file", redact(place), end.digest))


def _delete(artifact: Reference, request: BuildRequest, run: Execution) -> None:
    """The context's artifact, also after Ctrl-C: by a client that no signal stops. Its layer is the registry's to collect."""
    from gazami.builder.inputs.registries import open_registry
    from gazami.cancel import Cancel
    from gazami.events import Message, discard

    try:
        with open_registry(request.registry, request.credentials, discard, Cancel()) as client:
            client.delete_manifest(artifact)
    except GazamiError as error:
        run.emit(Message("debug", f"the context {artifact} stays in the registry: {error.message}"))


def _manifests(builds: tuple[Build, ...], pods: PodOptions) -> str:
    import yaml

    from gazami.kubernetes.job import job_manifest

    text = yaml.safe_dump_all([job_manifest(build, pods) for build in builds], sort_keys=False)
    files = f" and no Secret {builds[0].name} ({', '.join(builds[0].files)})" if builds[0].files else ""
    return f"# Nothing was sent: there is no context in the registry{files}.\n{text}"


COMMAND = Command("submit", submit.USAGE, submit.TABLE, task(_submit), shown=submit.SHOWN, failed="error building image")
