"""What a pod's status and the events of a Job mean for who waits: it waits and why, it runs, it ended, it never will. Pure.

Sources: Kubernetes, Pod lifecycle; PodStatus v1 core; Event v1 core; the kubelet's reasons of waiting containers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gazami.kubernetes.job import CONTAINER
from gazami.values import fast_dataclass

_HINTS = {
    "ImagePullBackOff": "check --executor-image; a private image needs imagePullSecrets in its service account (--service-account)",
    "InvalidImageName": "give the name of an image with --executor-image",
    "ErrImageNeverPull": "load the image onto the nodes, or let them pull it",
    "CreateContainerConfigError": "create the Secret named in --env-from-secret, or correct the name",
    "CreateContainerError": "check the node: it could not create the container",
}
"""Reasons of waiting that do not pass by themselves, and what to do."""

_REFUSED = (
    (
        "violates PodSecurity",
        "the namespace's pod security level forbids it: choose another --namespace, or see its label "
        "pod-security.kubernetes.io/enforce (baseline is enough without --user-namespace)",
    ),
    ('serviceaccount "', "name a service account of the namespace with --service-account"),
    ("denied the request", "ask the cluster's administrators: an admission webhook refuses the pod"),
)
_MEMORY = "raise the limit with --memory"


@fast_dataclass(frozen=True, slots=True)
class Waiting:
    """``why`` is for people, empty when there is nothing to say yet."""

    why: str = ""


@fast_dataclass(frozen=True, slots=True)
class Running:
    pass


@fast_dataclass(frozen=True, slots=True)
class Ended:
    """The container's exit status; ``reason`` says so when the end was not the program's own (OOMKilled, Evicted)."""

    exit_code: int
    reason: str = ""
    hint: str = ""


@fast_dataclass(frozen=True, slots=True)
class Hopeless:
    """It cannot start without a change."""

    why: str
    hint: str = ""


State = Waiting | Running | Ended | Hopeless


def state_of(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]] = ()) -> State:
    """The state of a pod that exists; ``events`` are the pod's, for what its status does not say."""
    status = pod.get("status") or {}
    found = [each for each in status.get("containerStatuses") or () if each.get("name") == CONTAINER]
    state = (found[0].get("state") or {}) if found else {}
    if (terminated := state.get("terminated")) is not None:
        return _ended(terminated, status)
    if status.get("phase") == "Failed":
        reason = status.get("reason") or "the pod failed"
        return Ended(137, f"{reason}: {status.get('message') or 'the node does not say why'}", _hint(reason))
    if state.get("running") is not None:
        return Running()
    if waiting := state.get("waiting"):
        reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
        text = f"{reason}: {message}" if message else reason
        if reason in _HINTS:
            return Hopeless(text, _HINTS[reason])
        return Waiting(_last_warning(events) or ("" if reason in ("ContainerCreating", "PodInitializing") else text))
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return Waiting(f"{condition.get('reason') or 'Unschedulable'}: {condition.get('message') or ''}".strip(": "))
    return Waiting(_last_warning(events))


def state_without_pod(job: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> State:
    """The state of a Job that has no pod (yet)."""
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("type") in ("Failed", "FailureTarget") and condition.get("status") == "True":
            reason = str(condition.get("reason") or "Failed")
            return Ended(1, f"{reason}: {condition.get('message') or ''}".strip(": "), _hint(reason))
    why = _last_warning(events)
    for text, hint in _REFUSED:
        if text in why:
            return Hopeless(why, hint)
    return Waiting(why)


def _ended(terminated: Mapping[str, Any], status: Mapping[str, Any]) -> Ended:
    code, reason = int(terminated.get("exitCode") or 0), terminated.get("reason")
    if status.get("reason") in ("Evicted", "DeadlineExceeded", "NodeLost", "Preempting"):
        reason = status["reason"]
        return Ended(code or 137, f"{reason}: {status.get('message') or ''}".strip(": "), _hint(str(reason)))
    if reason == "OOMKilled":
        return Ended(code or 137, "OOMKilled: the executor used more memory than its limit", _MEMORY)
    if reason in ("ContainerCannotRun", "StartError"):
        return Ended(code or 128, f"{reason}: {terminated.get('message') or ''}".strip(": "))
    return Ended(code)


def _hint(reason: str) -> str:
    if reason == "DeadlineExceeded":
        return "allow more time with --job-timeout"
    return "request what the build needs with --memory" if reason == "Evicted" else ""


def _last_warning(events: Iterable[Mapping[str, Any]]) -> str:
    warnings = [each for each in events if each.get("type") == "Warning" and each.get("message")]
    if not warnings:
        return ""
    last = max(warnings, key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime") or ""))
    return f"{last.get('reason')}: {last.get('message')}"
