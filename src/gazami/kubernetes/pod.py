"""What a pod's status and the events of a Job mean for who waits: it waits and why, it runs, it ended, it never will. Pure.

Sources: Kubernetes, Pod lifecycle; PodStatus v1 core; JobStatus v1 batch; Event v1 core; the kubelet's reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gazami.kubernetes.job import CONTAINER
from gazami.kubernetes.reasons import WAITING, eviction, last_warning, missing, refusal
from gazami.values import fast_dataclass

TAKEN = 137
"""The exit status of a build that did not end by itself: 128 + SIGKILL, whatever signal the node sent first."""

_MEMORY = "raise the limit with --memory"


@fast_dataclass(frozen=True, slots=True)
class Waiting:
    """``why`` is for people, empty when there is nothing to say yet. ``queued``: it is a queue's turn to let the Job start."""

    why: str = ""
    queued: bool = False


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


def state_of(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]] = (), own: str = "") -> State:
    """The state of a pod that exists; ``events`` are the pod's, for what its status does not say, ``own`` is our Secret."""
    status = pod.get("status") or {}
    found = [each for each in status.get("containerStatuses") or () if each.get("name") == CONTAINER]
    state = (found[0].get("state") or {}) if found else {}
    if (terminated := state.get("terminated")) is not None:
        return _ended(terminated, status)
    if status.get("phase") == "Failed":
        return taken_by_node(status) or Ended(TAKEN, f"the pod failed: {status.get('message') or 'the node does not say why'}")
    if state.get("running") is not None:
        return Running()
    if waiting := state.get("waiting"):
        return _waiting(waiting, events, own)
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _hopeless_or_waiting(f"{condition.get('reason') or 'Unschedulable'}: {condition.get('message') or ''}", own)
    return _hopeless_or_waiting(last_warning(events), own)


def state_without_pod(job: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> State:
    """The state of a Job that has no pod (yet)."""
    if ended := failed(job):
        return ended
    if (job.get("spec") or {}).get("suspend"):
        queue = ((job.get("metadata") or {}).get("labels") or {}).get("kueue.x-k8s.io/queue-name")
        return Waiting(f"the Job is in the queue {queue}" if queue else "the Job is suspended", queued=True)
    why = last_warning(events)
    hint = refusal(why) if why.startswith("FailedCreate") else None
    return Waiting(why) if hint is None else Hopeless(why, hint)


def failed(job: Mapping[str, Any]) -> Ended | None:
    """How the Job's controller gave it up, if it did."""
    conditions = [each for each in (job.get("status") or {}).get("conditions") or () if each.get("status") == "True"]
    reasons = {str(each.get("reason") or "Failed"): str(each.get("message") or "") for each in conditions
               if each.get("type") in ("Failed", "FailureTarget")}  # fmt: skip
    if "DeadlineExceeded" in reasons:
        return Ended(
            TAKEN, f"DeadlineExceeded: {reasons['DeadlineExceeded'] or 'it ran too long'}", "allow more time with --job-timeout"
        )
    if "BackoffLimitExceeded" in reasons:  # the limit is 0: it only ever means that the one pod is no more
        return Ended(TAKEN, "its pod was deleted, or its node was drained or lost", "start it again")
    for reason, message in reasons.items():
        return Ended(TAKEN, f"{reason}: {message}".strip(": "))
    return None


def completed(job: Mapping[str, Any]) -> bool:
    """Whether the Job's pod ended well, which its controller knows longer than the pod exists."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Complete" and each.get("status") == "True" for each in conditions)


def taken_by_node(status: Mapping[str, Any]) -> Ended | None:
    """What a pod's own status says of a node that ended it (Evicted, NodeShutdown, Terminated, DeadlineExceeded, NodeLost …)."""
    if not (reason := str(status.get("reason") or "")):
        return None
    message = str(status.get("message") or "")
    hint = {"Evicted": eviction(message), "DeadlineExceeded": "allow more time with --job-timeout"}.get(reason, "start it again")
    return Ended(TAKEN, f"{reason}: {message or 'the node does not say why'}", hint)


def _ended(terminated: Mapping[str, Any], status: Mapping[str, Any]) -> Ended:
    code, reason = int(terminated.get("exitCode") or 0), terminated.get("reason")
    if status.get("phase") != "Succeeded" and (taken := taken_by_node(status)):
        return taken
    if reason == "OOMKilled":
        return Ended(TAKEN, "OOMKilled: the executor used more memory than its limit", _MEMORY)
    if reason in ("ContainerCannotRun", "StartError", "ContainerStatusUnknown"):
        return Ended(code or 128, f"{reason}: {terminated.get('message') or ''}".strip(": "))
    return Ended(code)


def _waiting(waiting: Mapping[str, Any], events: Iterable[Mapping[str, Any]], own: str) -> State:
    reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    text = f"{reason}: {message}" if message else reason
    if reason == "CreateContainerConfigError" and own and f'secret "{own}" not found' in message:
        return Waiting()  # it is on its way
    if reason in WAITING:
        return Hopeless(text, WAITING[reason])
    if reason == "ErrImagePull":  # ImagePullBackOff follows within seconds and says the same
        return Waiting()
    return _hopeless_or_waiting(last_warning(events) or ("" if reason in ("ContainerCreating", "PodInitializing") else text), own)


def _hopeless_or_waiting(why: str, own: str) -> State:
    why = why.strip(": ")
    if own and f'secret "{own}" not found' in why:  # it is on its way
        return Waiting()
    hint = missing(why)
    return Waiting(why) if hint is None else Hopeless(why, hint)
