"""Make the Job of a build and the Secret that it owns, so that whatever fails in between leaves nothing that hangs.

The Job comes first, since it owns the Secret: whatever deletes the Job, its time to live included, deletes both. Its pod waits for
the Secret, so what is needed to make one is asked for before there is a Job.
"""

from __future__ import annotations

from typing import Any, Protocol

from gazami.errors import Cancelled, ClusterError, GazamiError
from gazami.events import Emit, Message
from gazami.kubernetes.job import Build, job_manifest, secret_manifest
from gazami.kubernetes.options import PodOptions

NEEDED = (("list", "", "pods", ""), ("get", "", "pods", "log"), ("get", "batch", "jobs", ""))
"""Verb, group, resource and subresource: what it takes to follow a Job."""

_SECRET, _DELETE = ("create", "", "secrets", ""), ("delete", "batch", "jobs", "")


class Maker(Protocol):
    """What is needed of :class:`gazami.kubernetes.cluster.Cluster`."""

    def create_job(self, manifest: dict[str, Any]) -> str: ...
    def create_secret(self, manifest: dict[str, Any]) -> None: ...
    def delete_job(self, name: str) -> None: ...
    def may(self, verb: str, group: str, resource: str, subresource: str) -> bool: ...
    def forbidden(self, verb: str, resource: str) -> ClusterError: ...


def check_allowed(build: Build, cluster: Maker, emit: Emit, *, follow: bool) -> None:
    """Raises :class:`ClusterError` for a permission without which the Job would hang or be lost sight of."""
    for need in [*([_SECRET] if build.files else []), *(NEEDED if follow else ())]:
        if not cluster.may(*need):
            verb, group, resource, part = need
            raise cluster.forbidden(verb, "/".join(filter(None, (f"{resource}.{group}" if group else resource, part))))
    if not cluster.may(*_DELETE):
        error = cluster.forbidden("delete", "jobs.batch")
        emit(Message("warning", f"An interrupted build stays in the cluster until its deadline: {error.message}"))


def create(build: Build, options: PodOptions, cluster: Maker, emit: Emit) -> None:
    """Make the Job, then the Secret: the pod waits for it. Raises :class:`ClusterError`, :class:`UsageError`."""
    if build.files:
        secret_manifest(build, "")  # what is too large is refused before there is a Job
    manifest = job_manifest(build, options)
    try:
        uid = cluster.create_job(manifest)
    except Cancelled:  # the Job may be there all the same
        delete(build.name, cluster, emit)
        raise
    if not build.files:
        return
    try:
        cluster.create_secret(secret_manifest(build, uid))
    except GazamiError:
        delete(build.name, cluster, emit)
        raise


def delete(name: str, cluster: Maker, emit: Emit) -> None:
    """Delete a Job that will not be followed, and say so where that fails."""
    try:
        cluster.delete_job(name)
    except ClusterError as error:
        emit(Message("warning", f"the Job {name} may still be running: kubectl delete job {name} ({error.message})"))
