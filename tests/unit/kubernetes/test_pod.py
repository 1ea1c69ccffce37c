"""What pods and events say, in the words of real clusters."""

from __future__ import annotations

from typing import Any

import pytest

from gazami.kubernetes.pod import Ended, Hopeless, Running, Waiting, state_of, state_without_pod


def pod(state: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"status": {"containerStatuses": [{"name": "gazami", "state": state}], **status}}


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return pod({"waiting": {"reason": reason, "message": message}})


def event(message: str, reason: str = "FailedCreate", at: str = "2026-01-01T00:00:00Z", kind: str = "Warning") -> dict[str, Any]:
    return {"type": kind, "reason": reason, "message": message, "lastTimestamp": at}


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({"status": {"phase": "Pending"}}, Waiting()),
        ({}, Waiting()),
        (waits("ContainerCreating"), Waiting()),
        (waits("ErrImagePull", "503 from the registry"), Waiting("ErrImagePull: 503 from the registry")),
        (pod({"running": {}}), Running()),
        (pod({"running": {"startedAt": "2026-01-01T00:00:00Z"}}), Running()),
        (pod({"terminated": {"exitCode": 0, "reason": "Completed"}}), Ended(0)),
        (pod({"terminated": {"exitCode": 42, "reason": "Error"}}), Ended(42)),
    ],
)
def test_ordinary_states(given: dict[str, Any], state: object) -> None:
    assert state_of(given) == state


@pytest.mark.parametrize(
    ("reason", "part"),
    [("ImagePullBackOff", "--executor-image"), ("CreateContainerConfigError", "--env-from-secret"), ("InvalidImageName", "--exec")],
)
def test_what_does_not_pass_by_itself_is_hopeless_and_has_a_hint(reason: str, part: str) -> None:
    found = state_of(waits(reason, "why"))
    assert isinstance(found, Hopeless)
    assert found.why == f"{reason}: why" and part in found.hint


def test_why_it_is_not_scheduled() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available."}
    assert state_of({"status": {"conditions": [condition]}}) == Waiting("Unschedulable: 0/3 nodes are available.")


def test_a_quiet_pod_is_explained_by_its_last_warning() -> None:
    events = [
        event("old", "FailedMount", "2026-01-01T00:00:01Z"),
        event('secret "x" not found', "FailedMount", "2026-01-01T00:00:02Z"),
        event("Pulling image", "Pulling", "2026-01-01T00:00:03Z", kind="Normal"),
    ]
    assert state_of(waits("ContainerCreating"), events) == Waiting('FailedMount: secret "x" not found')


@pytest.mark.parametrize(
    ("given", "code", "reason"),
    [
        (pod({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), 137, "OOMKilled"),
        (pod({"terminated": {"exitCode": 0, "reason": "OOMKilled"}}), 137, "OOMKilled"),
        ({"status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}, 137, "Evicted: low on memory"),
        (pod({"terminated": {"exitCode": 143}}, phase="Failed", reason="Evicted", message="disk"), 143, "Evicted: disk"),
        (pod({"terminated": {"exitCode": 128, "reason": "StartError", "message": "no exec"}}), 128, "StartError: no exec"),
        ({"status": {"phase": "Failed"}}, 137, "the pod failed"),
    ],
)
def test_an_end_that_is_not_the_programs_own_says_so(given: dict[str, Any], code: int, reason: str) -> None:
    found = state_of(given)
    assert isinstance(found, Ended)
    assert found.exit_code == code and found.reason.startswith(reason)


@pytest.mark.parametrize(
    ("message", "hopeless"),
    [
        ('Error creating: pods "x" is forbidden: violates PodSecurity "restricted:latest"', True),
        ('Error creating: pods "x" is forbidden: error looking up service account b/s: serviceaccount "s" not found', True),
        ('Error creating: admission webhook "policy.example" denied the request: no', True),
        ('Error creating: pods "x" is forbidden: exceeded quota: compute, requested: cpu=2', False),
    ],
)
def test_a_job_without_a_pod(message: str, hopeless: bool) -> None:
    found = state_without_pod({"status": {}}, [event(message)])
    assert isinstance(found, Hopeless if hopeless else Waiting)
    assert message in found.why


def test_a_job_that_took_too_long() -> None:
    condition = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active too long"}
    found = state_without_pod({"status": {"conditions": [condition]}}, ())
    assert isinstance(found, Ended) and found.reason == "DeadlineExceeded: Job was active too long"
    assert found.exit_code == 1 and "--job-timeout" in found.hint
