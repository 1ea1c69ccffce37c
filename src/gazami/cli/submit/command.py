"""``gazami submit``: a build as a Job of a cluster, seen from here as if it ran here."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from gazami.cli.command import Command, Execution, task
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.options import BUCKET, CACHE, CONTEXT, CUSTOM_PLATFORM, EXPOSE_MOUNTS, LOG_FORMAT, NO_CACHE
from gazami.cli.submit import flags as submit
from gazami.errors import UsageError

if TYPE_CHECKING:
    from gazami.cli.submit.context import Placed
    from gazami.cli.submit.finish import Wanted
    from gazami.cli.submit.follow import Connection
    from gazami.cli.submit.split import Part
    from gazami.cli.submit.submission import Sent
    from gazami.image.platform import Platform
    from gazami.kubernetes.cluster import Cluster
    from gazami.kubernetes.job import Build
    from gazami.kubernetes.options import PodOptions
    from gazami.registry.client import RegistryClient


def _submit(flags: Flags, run: Execution) -> int:
    from gazami.builder.files.workspace import Workspace
    from gazami.cli.submit.context import place_context, told
    from gazami.cli.submit.finish import delete_context, exists_already
    from gazami.kubernetes.follow import Left

    if not flags[submit.KUBERNETES]:
        raise UsageError("submit needs --kubernetes", hint="gazami build builds on this machine")
    cluster_type = _kubernetes()
    if flags[submit.ATTACH]:
        from gazami.cli.submit.attach import attach

        with _connected(cluster_type, flags, run) as cluster:
            return attach(as_build, flags, cluster, run)
    wanted = _wanted(flags, run)
    request = wanted.request
    with Workspace(request.sandbox.state_dir) as workspace, run.registry(flags) as client:
        if flags[submit.PRINT]:
            placed = place_context(request, wanted.run, workspace, client, run.emit, run.cancel, push=False)
            sent = placed.sent + _credentials(wanted, placed, client)  # they are not printed, but shape the Job
            first, builds = _split(flags, wanted, placed, _builds(flags, wanted, sent), run)
            run.say(_manifests((*(part.build for part in first), *builds), wanted.pods))
            return 0
        if exists_already(request, client, run.emit):
            return 0
        with _connected(cluster_type, flags, run) as cluster:
            placed = place_context(request, wanted.run, workspace, client, run.emit, run.cancel, push=True)
            told(placed, run.emit)
            over = not flags[submit.DETACH]
            try:
                sent = placed.sent + _credentials(wanted, placed, client)
                first, builds = _split(flags, wanted, placed, _builds(flags, wanted, sent), run)
                _build_parts(flags, wanted, first, cluster, run)
                return _through(flags, wanted, builds, cluster, client, run)
            except Left:
                over = False  # its pod may not have read the context yet
                raise
            finally:
                if placed.artifact is not None and over:
                    delete_context(placed.artifact, request, run)


def _connected(cluster_type: type[Cluster], flags: Flags, run: Execution) -> Cluster:
    return cluster_type(flags[submit.KUBE_CONTEXT], flags[submit.NAMESPACE], run.cancel, flags[submit.API_TIMEOUT], run.emit)


def _wanted(flags: Flags, run: Execution) -> Wanted:
    from gazami.cli.environ import require_secret_files
    from gazami.cli.request.build import build_request
    from gazami.cli.submit.finish import Wanted
    from gazami.cli.submit.pods import pod_options
    from gazami.cli.submit.submission import check_no_credentials, check_possible
    from gazami.image.platform import parse_platform

    check_possible(flags)
    platforms = tuple(dict.fromkeys(parse_platform(text) for text in flags[submit.PLATFORMS]))
    found = build_request(as_build(flags, platforms), run.around)
    for message in found.messages:
        run.emit(message)
    check_no_credentials("--context", found.request.context.context)
    check_no_credentials("--dockerfile", found.request.context.dockerfile)
    require_secret_files(found.request.sandbox.secrets)
    if len(platforms) > 1 and not found.request.output.push:
        raise UsageError("several platforms need a --destination: the images meet in its registry")
    return Wanted(found.request, platforms, pod_options(flags), secrets.token_hex(5))


def as_build(flags: Flags, platforms: tuple[Platform, ...]) -> Flags:
    """The flags as ``gazami build`` has them: one platform, and the working directory instead of kaniko's default context."""
    flags = flags.having(CUSTOM_PLATFORM, str(platforms[0]) if platforms else "").having(EXPOSE_MOUNTS, "false")  # the pod's
    here = not flags.positionals and not flags.given(CONTEXT) and not flags[BUCKET]
    return flags.having(CONTEXT, ".") if here else flags


def _kubernetes() -> type[Cluster]:
    try:
        from gazami.kubernetes.cluster import Cluster
    except ImportError as cause:
        raise UsageError(
            f"gazami submit needs the Python package {cause.name}, which is not installed",
            hint="install it: pip install 'lightkube>=1.0,<2'",
        ) from None
    return Cluster


def _credentials(wanted: Wanted, placed: Placed, client: RegistryClient) -> Sent:
    from gazami.cli.submit.context import credentials
    from gazami.cli.submit.submission import Sent
    from gazami.kubernetes.job import DOCKER_CONFIG

    assert wanted.pods is not None
    if wanted.pods.access.docker_config_secret:
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


def _split(
    flags: Flags, wanted: Wanted, placed: Placed, builds: tuple[Build, ...], run: Execution
) -> tuple[list[Part], tuple[Build, ...]]:
    """The Jobs that come first, and those of the target."""
    if not flags[submit.SPLIT]:
        return [], builds
    from gazami.builder.cached.places import main_places
    from gazami.cli.submit.split import check_split, joining, parts
    from gazami.events import Message

    if flags[submit.DETACH]:
        raise UsageError("--split follows its Jobs, so it does not go with --detach")
    if flags[NO_CACHE] or (flags.given(CACHE) and not flags[CACHE]):
        raise UsageError("--split needs the layer cache", hint="leave --no-cache and --cache=false out")
    request = wanted.request
    stages = check_split(request, placed.dockerfile)
    if not stages:
        run.emit(Message("info", "--split: no two named stages with RUN steps that do not need each other, so one Job builds all"))
        return [], builds
    return parts(stages, builds, wanted.platforms, main_places(request.cache, request.output)), tuple(map(joining, builds))


def _build_parts(flags: Flags, wanted: Wanted, first: list[Part], cluster: Connection, run: Execution) -> None:
    """Raises the error of the first Job that fails; the others are stopped."""
    if not first:
        return
    from gazami.cli.submit.follow import Intake, Submitted
    from gazami.report.together import Named

    assert wanted.pods is not None
    intakes = tuple(Intake(run.emit, Named(part.name, part.number)) for part in first)
    submitted = Submitted(tuple(part.build for part in first), intakes, cluster, run.emit, not wanted.pods.keep)
    submitted.create(wanted.pods, follow=True)
    submitted.follow(run.cancel, flags[submit.START_TIMEOUT])


def _through(
    flags: Flags, wanted: Wanted, builds: tuple[Build, ...], cluster: Connection, client: RegistryClient, run: Execution
) -> int:
    from gazami.cli.submit.finish import followed
    from gazami.cli.submit.follow import Submitted

    assert wanted.pods is not None
    Submitted(builds, (), cluster, run.emit, not wanted.pods.keep).create(wanted.pods, follow=not flags[submit.DETACH])
    if flags[submit.DETACH]:
        run.say("".join(f"{build.name}\n" for build in builds))
        return 0
    return followed(flags, wanted, builds, cluster, client, run, owned=not wanted.pods.keep)


def _manifests(builds: tuple[Build, ...], pods: PodOptions | None) -> str:
    import yaml

    from gazami.kubernetes.job import job_manifest

    class Plain(yaml.SafeDumper):  # type: ignore[misc]
        """Without anchors: what is said twice is written twice."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    assert pods is not None
    text = yaml.dump_all([job_manifest(build, pods) for build in builds], Dumper=Plain, sort_keys=False)
    files = f" and no Secret {builds[0].name} ({', '.join(builds[0].files)})" if builds[0].files else ""
    return f"# Nothing was sent: there is no context in the registry{files}.\n{text}"


COMMAND = Command("submit", submit.USAGE, submit.TABLE, task(_submit), shown=submit.SHOWN, failed="error building image")
