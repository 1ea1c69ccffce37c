"""Who took a pod away, from what a real cluster says around its end."""

from __future__ import annotations

from typing import Any

import pytest

from gazami.kubernetes.pod import Ended
from gazami.kubernetes.taken import taken

Thing = dict[str, Any] | None


def job(*reasons: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {}, "spec": spec, "status": {"conditions": [
        {"type": "Failed", "status": "True", "reason": reason, "message": "m"} for reason in reasons
    ]}}  # fmt: skip


def pod(disruption: str = "", *, deleted: bool = False, **status: Any) -> dict[str, Any]:
    conditions = [{"type": "DisruptionTarget", "status": "True", "reason": disruption, "message": "m"}] if disruption else []
    metadata = {"deletionTimestamp": "2026-01-01T00:00:30Z"} if deleted else {}
    return {"metadata": metadata, "status": {"conditions": conditions, **status}}


GONE = job("BackoffLimitExceeded")
DELETED: dict[str, Any] = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
CASES: list[tuple[Thing, Thing, Thing, str]] = [
    (pod("EvictionByEvictionAPI", deleted=True), None, job(), "was evicted"),
    (None, pod("EvictionByEvictionAPI", deleted=True), GONE, "was evicted"),
    (None, pod("PreemptionByScheduler"), GONE, "preempted"),
    (None, pod("DeletionByTaintManager"), GONE, "tainted"),
    (None, pod("DeletionByPodGC"), GONE, "node is gone"),
    (None, pod("SomethingNew"), GONE, "m (SomethingNew)"),
    (pod("TerminationByKubelet", reason="Evicted", message="disk"), None, GONE, "Evicted: disk"),
    (pod(reason="Terminated", message="imminent node shutdown"), None, GONE, "Terminated: imminent node shutdown"),
    (pod(deleted=True), None, job(), "pod was deleted"),
    (None, pod(deleted=True), GONE, "pod was deleted"),
    (None, None, GONE, "deleted, or its node was drained"),
    (None, None, job(), "deleted, or its node was drained"),
    (pod(deleted=True), None, None, "the Job a was deleted"),
    (None, None, None, "the Job a was deleted"),
    (pod(deleted=True), None, DELETED, "the Job a was deleted"),
    (pod(deleted=True), None, job("DeadlineExceeded"), "DeadlineExceeded"),
    (None, None, job("BackoffLimitExceeded", "DeadlineExceeded"), "DeadlineExceeded"),
    (None, pod(deleted=True), job(suspend=True), "suspended"),
]


@pytest.mark.parametrize(("now", "seen", "owner", "said"), CASES)
def test_each_is_named(now: Thing, seen: Thing, owner: Thing, said: str) -> None:
    found = taken("a", now, seen, owner)
    assert isinstance(found, Ended)
    assert said in found.reason and found.exit_code == 137 and found.hint
    assert "BackoffLimit" not in found.reason


def test_a_pod_that_is_still_there_took_its_own_end() -> None:
    """A Job of one attempt has the condition BackoffLimitExceeded after any failure."""
    assert taken("a", pod(), None, GONE) is None
