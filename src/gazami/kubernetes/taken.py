"""Who took a running pod away: what the cluster says in the seconds around its end, from the pod as it was last seen and the Job.

The executor ends in order within a second of SIGTERM, with 143, which alone would read as "somebody pressed Ctrl-C". The reason
stands in the pod's conditions until the pod is gone, then only in the Job's, and for a Job that was deleted nowhere: it is
missing. Pure. Sources: Kubernetes, Disruptions (pod disruption conditions); Jobs (terminal conditions); API-initiated eviction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gazami.kubernetes.pod import TAKEN, Ended, failed, taken_by_node

SIGNALLED = frozenset({128 + 2, 128 + 9, 128 + 15})
"""Exit statuses of a process that a signal ended, or that ended in order because of one."""

_AGAIN = "start it again"
_GONE = "its pod was deleted, or its node was drained or lost"
_DISRUPTIONS = {
    "EvictionByEvictionAPI": ("its pod was evicted: the node is being drained or scaled down", _AGAIN),
    "PreemptionByScheduler": (
        "its pod was preempted by a pod of a higher priority",
        "start it again, or give it a higher --priority-class",
    ),
    "DeletionByTaintManager": ("its node was tainted: it is out of order or under repair", "start it again, or see --toleration"),
    "DeletionByPodGC": ("its node is gone", _AGAIN),
    "TerminationByKubelet": ("its node ended it: it is shutting down or short of something", _AGAIN),
}
"""Reasons of the condition DisruptionTarget."""


def taken(name: str, pod: Mapping[str, Any] | None, seen: Mapping[str, Any] | None, job: Mapping[str, Any] | None) -> Ended | None:
    """How the Job ``name`` lost its pod; None when nobody took it. ``pod`` is as it is now, ``seen`` as it was seen last."""
    ended = failed(job) if job is not None else None
    if ended is not None and ended.reason.startswith("DeadlineExceeded"):
        return ended
    if job is None or _deleted(job):
        return Ended(TAKEN, f"the Job {name} was deleted while it ran", "start it again")
    if (job.get("spec") or {}).get("suspend"):
        return Ended(TAKEN, "the Job was suspended while it ran: its queue runs it again from the start",
                     f"follow it with gazami submit --kubernetes --attach {name}")  # fmt: skip
    for known in (pod, seen):
        if known is None:
            continue
        if (reason := taken_by_node(known.get("status") or {})) is not None:
            return reason
        if (disrupted := _disrupted(known)) is not None:
            return disrupted
    if any(known is not None and _deleted(known) for known in (pod, seen)):
        return Ended(TAKEN, "its pod was deleted while it ran", _AGAIN)
    if pod is not None:
        return None
    return ended or Ended(TAKEN, _GONE, _AGAIN)


def being_taken(pod: Mapping[str, Any]) -> bool:
    """Whether the pod is on its way out, so that what it says of the reason is worth keeping."""
    return _deleted(pod) or _disrupted(pod) is not None


def _disrupted(pod: Mapping[str, Any]) -> Ended | None:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            reason = str(condition.get("reason") or "")
            why, hint = _DISRUPTIONS.get(reason, (str(condition.get("message") or "the cluster ended it"), _AGAIN))
            return Ended(TAKEN, f"{why} ({reason})" if reason else why, hint)
    return None


def _deleted(thing: Mapping[str, Any]) -> bool:
    return bool((thing.get("metadata") or {}).get("deletionTimestamp"))
