"""How a running pod is taken away in a real cluster: what its status and its Job say, and in which order (Kubernetes 1.36).

The Job has its condition before the pod is seen gone, and a pod has its condition DisruptionTarget before its containers hear of
it.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.kubernetes_api import Cluster

DISRUPTIONS = {"drain": "EvictionByEvictionAPI", "preempt": "PreemptionByScheduler", "taint": "DeletionByTaintManager"}
DISK = "Pod ephemeral local storage usage exceeds the total limit of containers 500Mi. "


def condition(thing: dict[str, Any] | None, kind: str, reason: str, message: str = "") -> None:
    """Add a condition to the status of a Job or a pod, if there still is one."""
    if thing is not None:
        found = thing.setdefault("status", {}).setdefault("conditions", [])
        found.append({"type": kind, "status": "True", "reason": reason, "message": message})


def take(cluster: Cluster, pod: str) -> None:
    """Take a running pod away as ``cluster.take`` says."""
    name, how = pod.rpartition("-")[0], cluster.take
    with cluster.changed:
        found, job = cluster.pods[pod], cluster.jobs.get(name)
        if how in DISRUPTIONS:
            condition(found, "DisruptionTarget", DISRUPTIONS[how], "taken")
        elif how == "deadline":
            condition(job, "FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline")
        elif how == "disk":
            condition(found, "DisruptionTarget", "TerminationByKubelet", DISK)
            found["status"].update(phase="Failed", reason="Evicted", message=DISK)
        elif how == "job":
            cluster.jobs.pop(name, None)
        elif how == "suspend":
            assert job is not None
            job["spec"]["suspend"] = True
        if how == "force":
            del cluster.pods[pod]
            condition(job, "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        elif how not in ("disk", "signal"):
            found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:30Z"
        cluster.changed.notify_all()
    os.killpg(cluster.processes[pod].pid, signal.SIGTERM)
