"""The Job of one build, and the Secret with what its executor is to read: plain JSON objects, as kubectl would send them. Pure.

Sources: Kubernetes API reference, Job v1 batch, PodSpec v1 core, Secret v1 core; Kueue, Run a Job.
"""

from __future__ import annotations

import base64
from typing import Any

from gazami.errors import UsageError
from gazami.kubernetes.options import (
    EPHEMERAL_STORAGE,
    MEMORY,
    UNDISTURBED,
    Access,
    Confinement,
    Placement,
    PodOptions,
    Resources,
    Toleration,
)
from gazami.kubernetes.patch import merged
from gazami.values import fast_dataclass, field

CONTAINER = "gazami"
BUILD_LABEL = "gazami.dev/build"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
DOCKER_CONFIG = "config.json"
"""The key of the Secret that holds credentials for registries."""

INPUT = "/kaniko/input"
"""Where the executor finds the other files of the Secret: in the directory that it hides from RUN."""

STATE = "/kaniko/state"
_READY = "ready"
"""An empty key of the Secret. The kubelet mounts it before it makes the container, and tries that again within a second where the
Secret is not there yet; for a variable it would wait longer, and say that the container's configuration is wrong."""

_CREDENTIALS = "DOCKER_AUTH_CONFIG"
"""Credentials travel in a variable, since a step that has the container's own root could read a file."""

MAX_SECRET = 1 << 20
"""Bytes that Kubernetes allows in one Secret."""

_MAX_VARIABLE = 100 << 10
"""Bytes of credentials that fit into a variable: Linux allows 128 KiB."""

_USER = 1000
"""Who runs in a namespace that forbids root."""


@fast_dataclass(frozen=True, slots=True)
class Build:
    """One Job: ``name`` is also its Secret's; ``run`` is common to the Jobs of one submit, ``architecture`` the node's, if any.

    ``files`` by name are the Secret's data; ``config.json`` are docker's credentials.
    """

    name: str
    run: str
    arguments: tuple[str, ...]
    architecture: str = ""
    files: dict[str, bytes] = field(default_factory=dict, repr=False)


def job_manifest(build: Build, options: PodOptions) -> dict[str, Any]:
    """A Job that runs the executor once. Raises :class:`UsageError` for a patch that cannot be used."""
    spec: dict[str, Any] = {"backoffLimit": 0}
    if not options.keep and options.lifetime.ttl is not None:
        spec["ttlSecondsAfterFinished"] = int(options.lifetime.ttl)
    if options.lifetime.deadline is not None:
        spec["activeDeadlineSeconds"] = max(1, int(options.lifetime.deadline))
    labels = {**dict(options.labels), **_labels(build)}
    metadata: dict[str, Any] = {"name": build.name, "labels": labels}
    if options.placement.queue:
        metadata["labels"] = {**labels, QUEUE_LABEL: options.placement.queue}
        spec["suspend"] = True  # Kueue takes this back when it is the Job's turn
    annotations = {**dict(UNDISTURBED), **dict(options.annotations)}
    template = {"metadata": {"labels": dict(labels), "annotations": annotations}, "spec": _pod(build, options)}
    spec["template"] = merged(template, options.patch, CONTAINER)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


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
        "data": {name: base64.b64encode(data).decode() for name, data in {_READY: b"", **build.files}.items()},
    }


def _labels(build: Build) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "gazami",
        "app.kubernetes.io/component": "build",
        "app.kubernetes.io/managed-by": "gazami-submit",
        BUILD_LABEL: build.run,
    }


def _pod(build: Build, options: PodOptions) -> dict[str, Any]:
    access = options.access
    pod: dict[str, Any] = {"restartPolicy": "Never", "automountServiceAccountToken": bool(access.service_account)}
    if access.service_account:
        pod["serviceAccountName"] = access.service_account
    if access.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in access.pull_secrets]
    pod |= _placed(options.placement, build.architecture)
    pod |= _confined_pod(options.confinement)
    state: dict[str, Any] = {"name": "state", "emptyDir": {}}
    if options.resources.ephemeral_storage:
        state["emptyDir"] = {"sizeLimit": options.resources.ephemeral_storage}
    volumes = [state, *_volumes(build, access)]
    mounts = {"state": STATE, "docker-config": "/kaniko/.docker", "input": INPUT}
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": options.image,
        **({"imagePullPolicy": options.pull_policy} if options.pull_policy else {}),
        "args": [*build.arguments, f"--state-dir={STATE}"],
        "volumeMounts": [
            {"name": volume["name"], "mountPath": mounts[volume["name"]]}
            | ({"readOnly": True} if volume["name"] != "state" else {})
            for volume in volumes
        ],
        "resources": _resources(options.resources),
    }
    if environment := _environment(build, access):
        container["env"] = environment
    if access.environment_secrets:
        container["envFrom"] = [{"secretRef": {"name": name}} for name in access.environment_secrets]
    if context := _confined_container(options.confinement):
        container["securityContext"] = context
    return {**pod, "containers": [container], "volumes": volumes}


def _placed(placement: Placement, architecture: str) -> dict[str, Any]:
    selector = {"kubernetes.io/os": "linux", **({"kubernetes.io/arch": architecture} if architecture else {})}
    pod: dict[str, Any] = {"nodeSelector": {**selector, **dict(placement.node_selector)}}
    if placement.tolerations:
        pod["tolerations"] = [_toleration(each) for each in placement.tolerations]
    if placement.priority_class:
        pod["priorityClassName"] = placement.priority_class
    if placement.runtime_class:
        pod["runtimeClassName"] = placement.runtime_class
    return pod


def _toleration(wanted: Toleration) -> dict[str, Any]:
    found: dict[str, Any] = {"operator": "Exists" if wanted.value is None else "Equal"}
    if wanted.key:
        found["key"] = wanted.key
    if wanted.value is not None:
        found["value"] = wanted.value
    if wanted.effect:
        found["effect"] = wanted.effect
    return found


def _confined_pod(wanted: Confinement) -> dict[str, Any]:
    """The group owns the volumes, so that a user who is not root can read the Secret's files."""
    pod: dict[str, Any] = {"hostUsers": False} if wanted.user_namespace else {}
    if wanted.restricted:
        pod["securityContext"] = {"runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER}
    return pod


def _confined_container(wanted: Confinement) -> dict[str, Any]:
    context: dict[str, Any] = {}
    seccomp = wanted.seccomp or ("Unconfined" if wanted.user_namespace else "RuntimeDefault" if wanted.restricted else "")
    if seccomp.startswith("localhost/"):
        context["seccompProfile"] = {"type": "Localhost", "localhostProfile": seccomp.removeprefix("localhost/")}
    elif seccomp:
        context["seccompProfile"] = {"type": seccomp}
    if wanted.user_namespace:
        context["capabilities"] = {"add": ["SYS_ADMIN"]}
    if wanted.restricted:
        context |= {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return context


def _environment(build: Build, access: Access) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in access.environment]
    name, key = "", DOCKER_CONFIG
    if access.docker_config_secret:
        name, _, given = access.docker_config_secret.partition(":")
        key = given or key
    elif DOCKER_CONFIG in build.files and not _is_mounted(build, access):
        name = build.name
    if name:
        found.append({"name": _CREDENTIALS, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}})
    return found


def _is_mounted(build: Build, access: Access) -> bool:
    """Whether the credentials are a file: they are too many bytes for a variable, or somebody has taken it."""
    taken = any(name == _CREDENTIALS for name, _ in access.environment)
    return DOCKER_CONFIG in build.files and (taken or len(build.files[DOCKER_CONFIG]) > _MAX_VARIABLE)


def _volumes(build: Build, access: Access) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if not access.docker_config_secret and _is_mounted(build, access):
        found.append(_secret_volume("docker-config", build.name, [DOCKER_CONFIG]))
    if build.files:
        others = [name for name in build.files if name != DOCKER_CONFIG]
        found.append(_secret_volume("input", build.name, [_READY, *others]))
    return found


def _secret_volume(volume: str, secret: str, keys: list[str]) -> dict[str, Any]:
    items = [{"key": key, "path": key} for key in keys]
    return {"name": volume, "secret": {"secretName": secret, "defaultMode": 0o400, "items": items}}


def _resources(wanted: Resources) -> dict[str, Any]:
    """What somebody asks for is a limit too, of what a node that runs out of it takes from anybody; processor time is not."""
    asked = {"memory": wanted.memory, "ephemeral-storage": wanted.ephemeral_storage}
    default = {"memory": MEMORY, "ephemeral-storage": EPHEMERAL_STORAGE}
    requests = {"cpu": wanted.cpu} if wanted.cpu else {}
    limits = {"cpu": wanted.cpu_limit} if wanted.cpu_limit else {}
    for name, value in asked.items():
        requests[name] = value or default[name]
        if value:
            limits[name] = value
    return {"requests": requests, **({"limits": limits} if limits else {})}
