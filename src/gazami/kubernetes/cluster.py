"""What ``gazami submit`` asks of a Kubernetes API server, by lightkube: the only module that does.

Objects are JSON as the server has it. Who we are is found as kubectl finds it: in a pod the service account, else the
kubeconfig (``KUBECONFIG``, ``~/.kube/config``). Errors are :class:`ClusterError` and name the permission that is missing;
credentials are in none of them.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar, cast

import httpx2
import msgspec
from lightkube import Client, KubeConfig
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Event, Pod, Secret
from lightkube.types import CascadeType

from gazami.cancel import Cancel
from gazami.errors import ClusterError
from gazami.events import Emit, Message
from gazami.kubernetes.follow import Unreachable
from gazami.kubernetes.outage import Outage
from gazami.worker import Worker

T = TypeVar("T")

_TIMEOUT = httpx2.Timeout(30.0, connect=10.0)
_LONGEST_PAUSE = 5.0
"""Seconds between two attempts at a question whose answer did not come."""

_FAREWELL = 4.0
"""Seconds that a deletion may take, which is asked for where nobody wants to wait any more."""

_AnyJob = create_namespaced_resource("batch", "v1", "Job", "jobs")
"""A Job with whatever members it is given: a model leaves out those that it does not know."""

_ROLE = "give the permissions in deploy/kubernetes/submit-role.yaml to whoever runs gazami submit"


class Cluster:
    """One namespace of a cluster. A context manager."""

    def __init__(self, context: str, namespace: str, cancel: Cancel, patience: float, emit: Emit) -> None:
        """``context`` and ``namespace`` are the kubeconfig's when empty; ``patience`` is how many seconds the server may be away.
        Raises :class:`ClusterError`."""
        self._cancel, self._emit = cancel, emit
        try:
            config = KubeConfig.from_env().get(context or None)
            self._client = Client(config, namespace=namespace or None, timeout=_TIMEOUT)
        except (ConfigError, KeyError, OSError, ValueError, TypeError) as cause:
            raise ClusterError(
                f"no cluster to submit to: {cause or type(cause).__name__}",
                hint="list the contexts with kubectl config get-contexts, then set --kube-context or KUBECONFIG",
            ) from None
        self.namespace = str(self._client.namespace or "default")
        self.server = str(self._client.config.cluster.server)
        self._outage = Outage(self.server, patience, emit)

    def create_job(self, manifest: dict[str, Any]) -> str:
        """The new Job's uid. Its name is random, so one that exists at a second attempt is the first attempt's."""
        for path in _unknown(manifest, _plain(Job.from_dict(manifest)), ""):
            self._emit(Message("warning", f"{path} is no member of Kubernetes' API as it is known here; it is sent as it is"))
        job = cast("Any", _AnyJob.from_dict(manifest))
        try:
            made = _plain(self._ask("create", "jobs.batch", lambda: self._client.create(job, namespace=self.namespace)))
        except _Exists as error:
            name = str(manifest["metadata"]["name"])
            if (found := self.job(name)) is None:
                raise ClusterError(f"the Job {name} was deleted as soon as it was there") from error
            made = found
        self._outage.submitted()
        return str(made["metadata"]["uid"])

    def create_secret(self, manifest: dict[str, Any]) -> None:
        secret = cast("Any", Secret.from_dict(manifest))
        with contextlib.suppress(_Exists):
            self._ask("create", "secrets", lambda: self._client.create(secret, namespace=self.namespace))

    def may(self, verb: str, group: str, resource: str, subresource: str) -> bool:
        """Whether we may do that in the namespace; True where the server does not say."""
        wanted = {"namespace": self.namespace, "verb": verb, "group": group, "resource": resource, "subresource": subresource}
        review = cast("Any", SelfSubjectAccessReview.from_dict({"spec": {"resourceAttributes": wanted}}))
        try:
            found = _plain(self._ask("create", "selfsubjectaccessreviews", lambda: self._client.create(review)))
        except Unreachable:
            raise
        except ClusterError:
            return True
        return bool((found.get("status") or {}).get("allowed", True))

    def forbidden(self, verb: str, resource: str) -> ClusterError:
        """The error for a permission that is missing."""
        return ClusterError(f"not allowed to {verb} {resource} in the namespace {self.namespace}", hint=_ROLE)

    def attached(self) -> None:
        """There is a Job to follow already, so that the server's absence is borne for longer."""
        self._outage.submitted()

    def job(self, name: str) -> dict[str, Any] | None:
        """None when it is gone."""
        try:
            return _plain(self._ask("get", "jobs.batch", lambda: self._client.get(Job, name, namespace=self.namespace)))
        except _Gone:
            return None

    def pods(self, job: str) -> list[dict[str, Any]]:
        """The Job's pods, the oldest first."""
        found = self._ask("list", "pods", lambda: list(self._client.list(Pod, namespace=self.namespace, labels={"job-name": job})))
        return sorted(map(_plain, found), key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""))

    def glance(self, job: str) -> list[dict[str, Any]]:
        """The Job's pods as far as one question tells."""
        try:
            return [_plain(each) for each in self._client.list(Pod, namespace=self.namespace, labels={"job-name": job})]
        except (ApiError, httpx2.HTTPError, msgspec.MsgspecError, ConfigError, OSError):
            return []

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the cluster says about an object; nothing where it may not be read, since it only explains."""
        fields: dict[str, Any] = {"involvedObject.name": name}
        try:
            found = self._try("list", "events", lambda: list(self._client.list(Event, namespace=self.namespace, fields=fields)))
        except ClusterError:
            return []
        return [_plain(each) for each in found]

    def log(self, pod: str, container: str) -> Iterator[str]:
        """The lines of the log from its start, each behind its time stamp, until the container ends or the stream breaks.

        Raises :class:`Cut` for a break, and when there is no log yet.
        """
        try:
            lines = self._client.log(
                pod, namespace=self.namespace, container=container, follow=True, timestamps=True, newlines=False
            )
            yield from lines
        except ApiError as cause:
            if cause.status.code in (401, 403):
                raise self._refusal(cause, "get", "pods/log") from None
            raise Cut(str(cause.status.message)) from None
        except httpx2.HTTPError as cause:
            raise Cut(str(cause) or type(cause).__name__) from None

    def delete_job(self, name: str) -> None:
        """With its pods and its Secret, in the background. One that is gone is good."""
        with contextlib.suppress(_Gone):
            self._ask(
                "delete",
                "jobs.batch",
                lambda: self._client.delete(Job, name, namespace=self.namespace, cascade=CascadeType.BACKGROUND),
            )

    def delete_secret(self, name: str) -> None:
        with contextlib.suppress(_Gone):
            self._ask("delete", "secrets", lambda: self._client.delete(Secret, name, namespace=self.namespace))

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # -- errors ---------------------------------------------------------------------------------------------------

    def _ask(self, verb: str, resource: str, work: Callable[[], T]) -> T:
        """Something that may be asked again, for as long as the server may be away."""
        attempt = 0
        while True:
            try:
                found = self._try(verb, resource, work)
            except (Unreachable, _Denied) as error:
                if isinstance(error, _Denied) and not self._outage.lasts:
                    raise
                attempt += 1
                again = self._outage.failed(error.message)
                given_up = self._cancel.wait(min(_LONGEST_PAUSE, 0.25 * 2 ** min(attempt, 8))) if again else True
                if given_up and (verb != "delete" or attempt > 1):  # what was given up is deleted all the same
                    raise
            else:
                self._outage.answered()
                return found

    def _try(self, verb: str, resource: str, work: Callable[[], T]) -> T:
        """One question, in a thread of its own: an answer may be waited for longer than Ctrl-C may."""
        answer = Worker("question", work)
        try:
            if verb != "delete":
                return answer.result(self._cancel)
            answer.join(_FAREWELL)
            if answer.is_running:
                raise Unreachable(f"the API server {self.server} did not answer within {_FAREWELL:.0f} s")
            return answer.result()
        except ApiError as cause:
            raise self._refusal(cause, verb, resource) from None
        except httpx2.HTTPError as cause:
            raise Unreachable(
                f"cannot reach the API server {self.server}: {cause or type(cause).__name__}",
                hint="check that it is running, or choose another context with --kube-context",
            ) from None
        except (ConfigError, socket.gaierror) as cause:
            raise ClusterError(f"cannot use the kubeconfig: {cause}") from None
        except msgspec.MsgspecError as cause:
            raise ClusterError(f"the API server {self.server} did not answer like Kubernetes: {cause}") from None

    def _refusal(self, cause: ApiError, verb: str, resource: str) -> ClusterError:
        code, message = cause.status.code or cause.response.status_code, cause.status.message or "no reason given"
        where = f"{resource} in the namespace {self.namespace}"
        if code == 404 and verb != "create":
            return _Gone(message)
        if code == 409 and verb == "create" and cause.status.reason == "AlreadyExists":
            return _Exists(message)
        if code == 401:
            return _Denied(
                f"the API server {self.server} did not accept the login (401): {message}",
                hint="log in to the cluster again, then check with kubectl auth whoami",
            )
        if code == 403 and "exceeded quota" in message:
            return ClusterError(
                f"the quota of the namespace {self.namespace} is used up: {message}",
                hint="wait until other builds have ended, or raise the quota",
            )
        if code == 403 and "being terminated" in message:
            return ClusterError(f"the namespace {self.namespace} is being deleted: {message}", hint="choose another --namespace")
        if code == 403:
            return _Denied(f"not allowed to {verb} {where}: {message}", hint=_ROLE)
        if code >= 500 or code == 429:
            return Unreachable(f"the API server could not {verb} {where} ({code}): {message}")
        return ClusterError(f"the cluster refuses to {verb} {where} ({code}): {message}")


def _unknown(sent: object, known: object, where: str) -> Iterator[str]:
    """The members of an object that its model does not have: mistyped, or newer."""
    match sent, known:
        case dict(), dict():
            for name, value in sent.items():
                if name in known:
                    yield from _unknown(value, known[name], f"{where}.{name}".lstrip("."))
                elif value:
                    yield f"{where}.{name}".lstrip(".")
        case list(), list():
            for one, other in zip(sent, known, strict=False):
                yield from _unknown(one, other, where)
        case _:
            return


class Cut(Exception):
    """The stream of a log ended before the log did."""


class _Gone(ClusterError):
    """The object does not exist (any more)."""


class _Denied(ClusterError):
    """401 or 403, which a server that has just started says of everybody until it knows the roles."""


class _Exists(ClusterError):
    """There is an object of that name already."""


def _plain(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value.to_dict())
