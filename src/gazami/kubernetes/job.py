"""The Job of one build, and the Secret with what its executor is to read: plain JSON objects, as kubectl would send them. Pure.

Sources: Kubernetes API reference, Job v1 batch, PodSpec v1 core, Secret v1 core. The shape is that of ``deploy/kubernetes``.
"""

from __future__ import annotations

import base64
from typing import Any

from gazami.errors import UsageError
from gazami.values import fast_dataclass, field

CONTAINER = "gazami"
BUILD_LABEL = "gazami.dev/build"
DOCKER_CONFIG = "config.json"
"""The file, and the key of the Secret, that holds credentials for registries."""

INPUT = "/kaniko/input"
"""Where the executor finds the other files of the Secret: in the directory that it hides from RUN."""

MAX_SECRET = 1 << 20
"""Bytes that Kubernetes allows in one Secret."""

_TTL = 3600
"""Seconds that a finished Job stays, for who wants to look at it."""

Pairs = tuple[tuple[str, str], ...]


@fast_dataclass(frozen=True, slots=True)
class PodOptions:
    """How the pods of a build look. Quantities (``cpu``, ``memory``) are written as Kubernetes has them; ``timeout`` is seconds."""

    image: str
    service_account: str = ""
    docker_config_secret: str = ""
    """An existing Secret, ``NAME`` or ``NAME:KEY``."""
    environment_secrets: tuple[str, ...] = ()
    node_selector: Pairs = ()
    user_namespace: bool = False
    cpu: str = ""
    memory: str = ""
    timeout: float | None = None
    keep: bool = False


@fast_dataclass(frozen=True, slots=True)
class Build:
    """One Job: ``name`` is also its Secret's; ``run`` is common to the Jobs of one submit, ``architecture`` the node's, if any.

    ``files`` by name are the Secret's data; ``config.json`` goes where docker's credentials belong.
    """

    name: str
    run: str
    arguments: tuple[str, ...]
    architecture: str = ""
    files: dict[str, bytes] = field(default_factory=dict, repr=False)


def job_manifest(build: Build, options: PodOptions) -> dict[str, Any]:
    """A Job that runs the executor once."""
    spec: dict[str, Any] = {"backoffLimit": 0}
    if not options.keep:
        spec["ttlSecondsAfterFinished"] = _TTL
    if options.timeout is not None:
        spec["activeDeadlineSeconds"] = max(1, int(options.timeout))
    labels = _labels(build)
    spec["template"] = {"metadata": {"labels": labels}, "spec": _pod(build, options)}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": build.name, "labels": labels}, "spec": spec}


def secret_manifest(build: Build, job_uid: str) -> dict[str, Any]:
    """The Secret of a build's files, which goes when its Job does. Raises :class:`UsageError` when they are too many bytes."""
    if sum(map(len, build.files.values())) > MAX_SECRET - 4096:
        sizes = ", ".join(f"{name} {len(data)} bytes" for name, data in build.files.items())
        raise UsageError(
            f"the files beside the context are too large for a Secret of Kubernetes (1 MiB): {sizes}",
            hint="put the Dockerfile into the context, and large secrets into a Secret of the cluster (--env-from-secret)",
        )
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": build.name, "uid": job_uid}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": build.name, "labels": _labels(build), "ownerReferences": [owner]},
        "data": {name: base64.b64encode(data).decode() for name, data in build.files.items()},
    }


def _labels(build: Build) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "gazami",
        "app.kubernetes.io/component": "build",
        "app.kubernetes.io/managed-by": "gazami-submit",
        BUILD_LABEL: build.run,
    }


def _pod(build: Build, options: PodOptions) -> dict[str, Any]:
    pod: dict[str, Any] = {"restartPolicy": "Never", "automountServiceAccountToken": bool(options.service_account)}
    if options.service_account:
        pod["serviceAccountName"] = options.service_account
    if options.user_namespace:
        pod["hostUsers"] = False
    selector = dict(options.node_selector)
    if build.architecture:
        selector["kubernetes.io/arch"] = build.architecture
    if selector:
        pod["nodeSelector"] = selector
    volumes = [{"name": "state", "emptyDir": {}}, *_volumes(build, options)]
    mounts = {"state": "/kaniko/state", "docker-config": "/kaniko/.docker", "input": INPUT}
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": options.image,
        "args": [*build.arguments, "--state-dir=/kaniko/state"],
        "volumeMounts": [
            {"name": volume["name"], "mountPath": mounts[volume["name"]]}
            | ({"readOnly": True} if volume["name"] != "state" else {})
            for volume in volumes
        ],
    }
    if options.environment_secrets:
        container["envFrom"] = [{"secretRef": {"name": name}} for name in options.environment_secrets]
    if resources := _resources(options):
        container["resources"] = resources
    if options.user_namespace:
        container["securityContext"] = {"seccompProfile": {"type": "Unconfined"}, "capabilities": {"add": ["SYS_ADMIN"]}}
    return {**pod, "containers": [container], "volumes": volumes}


def _volumes(build: Build, options: PodOptions) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if options.docker_config_secret:
        name, _, key = options.docker_config_secret.partition(":")
        found.append(_secret_volume("docker-config", name, [(key or DOCKER_CONFIG, DOCKER_CONFIG)]))
    elif DOCKER_CONFIG in build.files:
        found.append(_secret_volume("docker-config", build.name, [(DOCKER_CONFIG, DOCKER_CONFIG)]))
    others = [(name, name) for name in build.files if name != DOCKER_CONFIG]
    if others:
        found.append(_secret_volume("input", build.name, others))
    return found


def _secret_volume(volume: str, secret: str, items: list[tuple[str, str]]) -> dict[str, Any]:
    listed = [{"key": key, "path": path} for key, path in items]
    return {"name": volume, "secret": {"secretName": secret, "defaultMode": 0o400, "items": listed}}


def _resources(options: PodOptions) -> dict[str, Any]:
    """What is asked for is what is reserved; memory is a limit too, since a node that runs out of it kills anybody."""
    requests = {"cpu": options.cpu, "memory": options.memory}
    found: dict[str, Any] = {"requests": {name: value for name, value in requests.items() if value}}
    if options.memory:
        found["limits"] = {"memory": options.memory}
    return found if found["requests"] else {}
