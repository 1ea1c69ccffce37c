"""What pods and events say, in the words of real clusters."""

from __future__ import annotations

from typing import Any

import pytest

from gazami.kubernetes.pod import Ended, Hopeless, Running, Waiting, state_of, state_without_pod
from gazami.kubernetes.quota import quantity
from gazami.kubernetes.reasons import same


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
        (waits("ErrImagePull", "503 from the registry"), Waiting()),  # ImagePullBackOff says it in a moment
        (waits("SomethingNew", "whatever"), Waiting("SomethingNew: whatever")),
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
        event("the volume is not attached yet", "FailedMount", "2026-01-01T00:00:02Z"),
        event("Pulling image", "Pulling", "2026-01-01T00:00:03Z", kind="Normal"),
    ]
    assert state_of(waits("ContainerCreating"), events) == Waiting("FailedMount: the volume is not attached yet")


@pytest.mark.parametrize(
    ("given", "code", "reason"),
    [
        (pod({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), 137, "OOMKilled"),
        (pod({"terminated": {"exitCode": 0, "reason": "OOMKilled"}}), 137, "OOMKilled"),
        ({"status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}, 137, "Evicted: low on memory"),
        (pod({"terminated": {"exitCode": 143}}, phase="Failed", reason="Evicted", message="disk"), 137, "Evicted: disk"),
        (pod({"terminated": {"exitCode": 128, "reason": "StartError", "message": "no exec"}}), 128, "StartError: no exec"),
        ({"status": {"phase": "Failed"}}, 137, "the pod failed"),
    ],
)
def test_an_end_that_is_not_the_programs_own_says_so(given: dict[str, Any], code: int, reason: str) -> None:
    found = state_of(given)
    assert isinstance(found, Ended)
    assert found.exit_code == code and found.reason.startswith(reason)


MOUNT = 'MountVolume.SetUp failed for volume "docker-config" : '


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        (f'{MOUNT}secret "nope" not found', "--docker-config-secret"),
        (f"{MOUNT}references non-existent secret key: config.json", ".dockerconfigjson"),
        (f'{MOUNT}configmap "ca" not found', "--pod-patch"),
    ],
)
def test_what_is_missing_ends_the_wait(message: str, hint: str) -> None:
    found = state_of(waits("ContainerCreating"), [event(message, "FailedMount")], "gazami-1")
    assert isinstance(found, Hopeless) and found.why == f"FailedMount: {message}" and hint in found.hint


def test_our_own_secret_is_on_its_way() -> None:
    message = f'{MOUNT}secret "gazami-1" not found'
    assert isinstance(state_of(waits("ContainerCreating"), [event(message, "FailedMount")], "gazami-1"), Waiting)


def test_our_own_secret_is_not_missing_for_a_variable_either() -> None:
    missing = waits("CreateContainerConfigError", 'secret "gazami-1" not found')
    assert state_of(missing, own="gazami-1") == Waiting()
    assert isinstance(state_of(missing, own="gazami-2"), Hopeless)


def test_a_volume_claim_that_is_missing() -> None:
    said = '0/3 nodes are available: persistentvolumeclaim "cache" not found. not found'
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
    assert isinstance(state_of({"status": {"conditions": [condition]}}), Hopeless)


@pytest.mark.parametrize(
    ("message", "flag"),
    [
        ("Pod ephemeral local storage usage exceeds the total limit of containers 500Mi. ", "--ephemeral-storage"),
        ('Container gazami exceeded its local ephemeral storage limit "500Mi". ', "--ephemeral-storage"),
        ('Usage of EmptyDir volume "state" exceeds the limit "500Mi". ', "--ephemeral-storage"),
        ("The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 2Mi.", "--ephemeral-storage"),
        ("The node was low on resource: memory. Threshold quantity: 100Mi, available: 2Mi.", "--memory"),
    ],
)
def test_the_hint_of_an_eviction_names_what_was_short(message: str, flag: str) -> None:
    found = state_of(pod({"terminated": {"exitCode": 143}}, phase="Failed", reason="Evicted", message=message))
    assert isinstance(found, Ended) and found.exit_code == 137 and flag in found.hint


FORBIDDEN = 'Error creating: pods "gazami-1-x7x7x" is forbidden: '
QUOTA = f"{FORBIDDEN}exceeded quota: compute, requested: limits.memory=4Gi,pods=1, used: limits.memory=0,pods=1, limited: "


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        (f'{FORBIDDEN}violates PodSecurity "restricted:latest"', "--restricted"),
        (f'{FORBIDDEN}error looking up service account b/s: serviceaccount "s" not found', "--service-account"),
        ('Error creating: admission webhook "policy.example" denied the request: no', "admission webhook"),
        (f"{FORBIDDEN}no PriorityClass with name nope was found", "--priority-class"),
        (f'{FORBIDDEN}pod rejected: RuntimeClass "nope" not found', "--runtime-class"),
        (f"{FORBIDDEN}failed quota: q: must specify limits.memory for: gazami; requests.cpu for: gazami", "--memory and --cpu"),
        (f"{FORBIDDEN}failed quota: q: must specify limits.cpu for: gazami; limits.ephemeral-storage for: gazami",
         "--cpu-limit and --ephemeral-storage"),
        (f"{FORBIDDEN}failed quota: q: must specify limits.cpu,limits.memory", "--cpu-limit and --memory"),
        (f"{QUOTA}limits.memory=2Gi,pods=1", "lower --memory"),
        (f"{FORBIDDEN}maximum memory usage per Container is 1Gi, but limit is 4Gi", "change --memory"),
        (f"{FORBIDDEN}[maximum cpu usage per Container is 1, but limit is 4, maximum memory usage per Pod is 1Gi, but …]",
         "change --cpu-limit and --memory"),
        ('Error creating: Pod "gazami-1-x7x7x" is invalid: spec.x: Invalid value', "--pod-patch"),
        (f"{FORBIDDEN}unable to create new content in namespace builds because it is being terminated", "--namespace"),
        (f"{QUOTA}limits.memory=8Gi,pods=1", None),
        (f"{FORBIDDEN}exceeded quota: compute, requested: cpu=2", None),
        (f"{FORBIDDEN}status unknown for quota: compute, resources: pods", None),
        (f"{FORBIDDEN}not yet ready to handle request", None),
        ('Error creating: Internal error occurred: failed calling webhook "x": context deadline exceeded', None),
    ],
)  # fmt: skip
def test_a_job_without_a_pod(message: str, hint: str | None) -> None:
    found = state_without_pod({"status": {}}, [event(message)])
    assert isinstance(found, Waiting if hint is None else Hopeless), found
    assert message in found.why
    if isinstance(found, Hopeless):
        assert hint is not None and hint in found.hint


def test_a_job_that_took_too_long() -> None:
    condition = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active too long"}
    found = state_without_pod({"status": {"conditions": [condition]}}, ())
    assert isinstance(found, Ended) and found.reason == "DeadlineExceeded: Job was active too long"
    assert found.exit_code == 137 and "--job-timeout" in found.hint


def test_a_job_in_a_queue() -> None:
    job = {"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "team"}}, "spec": {"suspend": True}}
    assert state_without_pod(job, ()) == Waiting("the Job is in the queue team", queued=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"FailedCreate: {QUOTA}pods=1", f"FailedCreate: {QUOTA}pods=1".replace("x7x7x", "9zz2b")),
        ("FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes",
         "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available"),
    ],
)  # fmt: skip
def test_one_cause_is_the_same_however_it_is_said(one: str, other: str) -> None:
    assert same(one) == same(other) != same("Unschedulable: 0/1 nodes are available: 1 Insufficient memory.")


@pytest.mark.parametrize(
    ("text", "value"), [("500m", 0.5), ("2", 2), ("1.5Gi", 1.5 * 2**30), ("1e3", 1000), ("x", None), ("", None)]
)
def test_quantities(text: str, value: float | None) -> None:
    assert quantity(text) == value
