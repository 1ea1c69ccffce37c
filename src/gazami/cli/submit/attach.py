"""``gazami submit --attach``: the Jobs of an earlier submit, read back from the cluster, and followed to their end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gazami.cli.command import Execution
from gazami.cli.flags.argv import Flags, parse
from gazami.cli.flags.options import BUILD, CONTEXT, CUSTOM_PLATFORM, DESTINATION, NO_PUSH
from gazami.cli.request.build import build_request
from gazami.cli.submit import flags as submit
from gazami.cli.submit.finish import Wanted, delete_context, followed
from gazami.errors import Cancelled, ClusterError, GazamiError
from gazami.image.platform import Platform, parse_platform
from gazami.image.reference import Reference, parse_reference
from gazami.kubernetes.cluster import Cluster
from gazami.kubernetes.follow import Left
from gazami.kubernetes.job import BUILD_LABEL, CONTAINER, Build

_ARTIFACT = "registry://"


def attach(as_build: Callable[[Flags, tuple[Platform, ...]], Flags], flags: Flags, cluster: Cluster, run: Execution) -> int:
    """Follow the Jobs, and write here what their submit would have written. Ctrl-C leaves them running."""
    cluster.attached()
    builds = tuple(_build(name, cluster) for name in dict.fromkeys(flags[submit.ATTACH]))
    said = [parse(list(build.arguments), BUILD) for build in builds]
    platforms = tuple(parse_platform(each[CUSTOM_PLATFORM]) for each in said if each[CUSTOM_PLATFORM])
    if len(builds) > 1 and len(platforms) != len(builds):
        raise ClusterError("the Jobs are not of one build: they name no platforms", hint="attach to each of them alone")
    first = said[0]
    as_submitted = flags.having(DESTINATION, *first.words(DESTINATION)).having(NO_PUSH, str(first[NO_PUSH]).lower())
    request = build_request(as_build(as_submitted, platforms), run.around).request
    context = first[CONTEXT]
    artifact = parse_reference(context.removeprefix(_ARTIFACT)) if context.startswith(_ARTIFACT) else None
    with run.registry(as_submitted) as client:
        wanted = Wanted(request, platforms if len(builds) > 1 else (), None, builds[0].run)
        over: Reference | None = artifact
        try:
            return followed(flags, wanted, builds, cluster, client, run, owned=False)
        except (Left, Cancelled):
            over = None  # a pod may not have read it yet
            raise
        finally:
            if over is not None:
                delete_context(over, request, run)


def _build(name: str, cluster: Cluster) -> Build:
    job = cluster.job(name)
    if job is None:
        raise ClusterError(
            f"there is no Job {name} in the namespace {cluster.namespace}",
            hint="list them with kubectl get jobs --selector app.kubernetes.io/managed-by=gazami-submit",
        )
    containers: list[dict[str, Any]] = job["spec"]["template"]["spec"].get("containers") or []
    arguments = next((tuple(each.get("args") or ()) for each in containers if each.get("name") == CONTAINER), None)
    if arguments is None:
        raise ClusterError(f"the Job {name} is not of gazami submit: it has no container {CONTAINER}")
    try:
        parse(list(arguments), BUILD)
    except GazamiError as error:
        raise ClusterError(f"the Job {name} is of another version of gazami: {error.message}") from None
    labels = job["metadata"].get("labels") or {}
    return Build(name, str(labels.get(BUILD_LABEL) or ""), arguments)
