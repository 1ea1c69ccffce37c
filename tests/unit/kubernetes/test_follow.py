"""Following a Job whose cluster behaves as told: what only happens after minutes in a real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gazami.cancel import Cancel
from gazami.errors import Cancelled, ClusterError
from gazami.events import Event, Message
from gazami.kubernetes import follow, watch
from gazami.kubernetes.follow import Follower, Left, Unreachable
from gazami.kubernetes.log import Position
from gazami.kubernetes.pod import Ended
from gazami.report.records import decode

STAMP = "2026-01-01T00:00:00.1Z"


def running(**metadata: Any) -> dict[str, Any]:
    status = {"phase": "Running", "containerStatuses": [{"name": "gazami", "state": {"running": {}}}]}
    return {"metadata": {"name": "a-1", **metadata}, "status": status}


class Told:
    """A cluster that answers with the next of its lists, and with the last one from then on."""

    namespace = "builds"

    def __init__(
        self, pods: list[list[dict[str, Any]]], job: dict[str, Any] | None, lines: list[str], *, hangs: bool = False
    ) -> None:
        self._pods, self._job, self._lines, self._hangs = pods, job, lines, hangs
        self.error: Exception | None = None

    def pods(self, job: str) -> list[dict[str, Any]]:
        if self.error is not None:
            raise self.error
        return self._pods.pop(0) if len(self._pods) > 1 else self._pods[0]

    def glance(self, job: str) -> list[dict[str, Any]]:
        return self._pods[0]

    def job(self, name: str) -> dict[str, Any] | None:
        return self._job

    def events(self, name: str) -> list[dict[str, Any]]:
        return []

    def log(self, pod: str, container: str) -> Iterator[str]:
        yield from self._lines
        if self._hangs:
            threading.Event().wait(30)


def follower(cluster: Told, seen: list[str], emitted: list[Event] | None = None, cancel: Cancel | None = None) -> Follower:
    events = emitted if emitted is not None else []
    return Follower("a", cluster, seen.append, lambda: False, Position(decode), events.append, cancel or Cancel(), 5)


def test_a_node_that_is_lost_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kubelet says nothing any more: the pod is being deleted for ever, and its log is silent."""
    monkeypatch.setattr(watch, "_EVERY", 0.05)
    monkeypatch.setattr(watch, "_STUCK", 0.2)
    lost = running(deletionTimestamp="2026-01-01T00:05:00Z")
    lost["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}]
    seen: list[str] = []
    ended = follower(Told([[running()], [running()], [lost]], {"spec": {}}, [f"{STAMP} hello"], hangs=True), seen).run()
    assert ended.exit_code == 137 and "tainted" in ended.reason and seen == ["hello"]


def test_a_pod_that_was_removed_after_a_good_end() -> None:
    done = {"spec": {}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    seen: list[str] = []
    assert follower(Told([[running()], [running()], []], done, [f"{STAMP} all of it"]), seen).run() == Ended(0)
    assert seen == ["all of it"]


def test_a_server_that_never_comes_back_leaves_the_job() -> None:
    cluster = Told([[running()]], {"spec": {}}, [])
    cluster.error = Unreachable("cannot reach the API server")
    with pytest.raises(Left) as caught:
        follower(cluster, []).run()
    assert "left to itself" in caught.value.message and "--attach a" in str(caught.value.hint)


def test_a_log_that_may_not_be_read_leaves_the_job_too() -> None:
    class Closed(Told):
        def log(self, pod: str, container: str) -> Iterator[str]:
            raise ClusterError("not allowed to get pods/log in the namespace builds")

    with pytest.raises(Left, match="pods/log"):
        follower(Closed([[running()]], {"spec": {}}, []), []).run()


def test_ctrl_c_is_no_loss_of_the_server() -> None:
    cluster, cancel = Told([[running()]], {"spec": {}}, []), Cancel()
    cluster.error = Unreachable("cannot reach the API server")
    cancel.set("interrupted")
    with pytest.raises(Cancelled):
        follower(cluster, [], cancel=cancel).run()


def test_one_cause_in_two_wordings_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_FIRST", 0.01)
    waits = []
    for text in ("1 Insufficient cpu. preemption: 0/1 nodes", "1 Insufficient cpu. no new claims to deallocate, preemption: 0/1"):
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": f"0/1 nodes: {text}"}
        waits.append([{"metadata": {"name": "a-1"}, "status": {"phase": "Pending", "conditions": [condition]}}])
    over = running()
    over["status"]["containerStatuses"][0]["state"] = {"terminated": {"exitCode": 0}}
    emitted: list[Event] = []
    assert follower(Told([*waits, [over]], {"spec": {}}, []), [], emitted).run() == Ended(0)
    assert len([each for each in emitted if isinstance(each, Message)]) == 1
