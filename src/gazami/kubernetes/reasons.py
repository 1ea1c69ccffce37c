"""Why a pod does not start or was taken away, in the cluster's words: what never passes, what to do about it, what says the
same twice. Pure.

Sources: the kubelet's reasons of waiting containers, evictions and failed mounts; the messages of the admission plug-ins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gazami.kubernetes.quota import never_met

WAITING = {
    "ImagePullBackOff": "check --executor-image; a private image needs --image-pull-secret, or a --service-account that has one",
    "InvalidImageName": "give the name of an image with --executor-image",
    "ErrImageNeverPull": "load the image onto the nodes, or let them pull it (--image-pull-policy)",
    "CreateContainerConfigError": "create what is missing, or correct its name in --env-from-secret or --docker-config-secret",
    "CreateContainerError": "check the node: it could not create the container",
    "RunContainerError": "check the node: it could not start the container",
}
"""Reasons of waiting that do not pass by themselves, and what to do."""

_REFUSED = (
    (
        "violates PodSecurity",
        "the namespace's pod security level (its label pod-security.kubernetes.io/enforce) forbids it: baseline is enough without "
        "--user-namespace, and --restricted makes a pod for restricted, whose RUN steps need --seccomp-profile "
        "localhost/profiles/gazami.json (deploy/kubernetes/seccomp)",
    ),
    ('serviceaccount "', "name a service account of the namespace with --service-account"),
    ("no PriorityClass with name", "name a PriorityClass of the cluster with --priority-class"),
    ("RuntimeClass", "name a RuntimeClass of the cluster with --runtime-class"),
    ("denied the request", "ask the cluster's administrators: an admission webhook refuses the pod"),
    ("being terminated", "choose another --namespace: this one is being deleted"),
)
_PASSES = ("exceeded quota", "not yet ready to handle request", "status unknown for quota", "timed out", "timeout")
"""Refusals of a pod that may be taken back without a change."""

_MISSING = re.compile(r"(secret|configmap|persistentvolumeclaim) \"([^\"]+)\" not found|references non-existent secret key: (\S+)")
_MISSING_HINTS = {
    "secret": "create the Secret, or correct its name (--docker-config-secret, --env-from-secret, --pod-patch)",
    "configmap": "create the ConfigMap, or correct its name (--pod-patch)",
    "persistentvolumeclaim": "create the PersistentVolumeClaim, or correct its name (--pod-patch)",
    "": "correct the key: --docker-config-secret NAME:.dockerconfigjson for one of kubectl create secret docker-registry",
}
_EVICTED = (
    (("ephemeral", "EmptyDir volume", "imagefs", "nodefs"), "request the disk that the build needs with --ephemeral-storage"),
    (("pids", "PID"), "let fewer processes run at once, or ask for a node that allows more"),
)
_POD_NAME = re.compile(r'(?<=pods ")[^"]+(?=" is (?:forbidden|invalid))')
_PREEMPTION = re.compile(r"\s*(no new claims to deallocate,?|preemption: .*)")


def refusal(why: str) -> str | None:
    """The hint for a pod that the cluster refuses to create for good; None where waiting may help."""
    if hint := never_met(why):
        return hint
    for text, hint in _REFUSED:
        if text in why:
            return hint
    if ("is forbidden" in why or "is invalid" in why) and not any(text in why for text in _PASSES):
        return "change the pod by the flags of gazami submit --help, or by --pod-patch"
    return None


def missing(why: str) -> str | None:
    """The hint for an object that is not there; None where nothing is missing."""
    found = _MISSING.search(why)
    return None if found is None else _MISSING_HINTS[found[1] or ""]


def eviction(message: str) -> str:
    """What a pod should ask for that a node evicted."""
    for parts, hint in _EVICTED:
        if any(part in message for part in parts):
            return hint
    return "request what the build needs with --memory"


def same(why: str) -> str:
    """What two messages have in common that say one cause: no reason before it, no random name of a pod, no afterthought."""
    text = re.sub(r"^[A-Z]\w+: ", "", why)
    return _PREEMPTION.sub("", _POD_NAME.sub("", text)).strip(" .,")


def last_warning(events: Iterable[Mapping[str, Any]]) -> str:
    """The newest warning about an object, reason first; empty without one."""
    warnings = [each for each in events if each.get("type") == "Warning" and each.get("message")]
    if not warnings:
        return ""
    last = max(warnings, key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime") or ""))
    return f"{last.get('reason')}: {last.get('message')}"
