"""The containers that podman can make, and what a RUN finds in each. This table is the only place that says it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SECCOMP_OF_DOCKER = "seccomp=DOCKER"
"""Stands for the profile that the fixture ``docker_seccomp`` writes: Docker's, and Kubernetes' RuntimeDefault."""

_RUNTIME_DEFAULT = ["--security-opt", SECCOMP_OF_DOCKER]
_UNCONFINED = ["--security-opt", "seccomp=unconfined"]
_CAPABILITIES_OF_DOCKER = ["--cap-add", "MKNOD", "--cap-add", "NET_RAW", "--cap-add", "AUDIT_WRITE"]
_DOCKER = [*_RUNTIME_DEFAULT, *_CAPABILITIES_OF_DOCKER]
_MAP = ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"]
_OURS = ["--security-opt", f"seccomp={Path(__file__).parents[2] / 'deploy/kubernetes/seccomp/gazami.json'}"]
_RESTRICTED = ["--user", "1000:1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
_REFUSED = ""


@dataclass(frozen=True, slots=True)
class Environment:
    """``options`` are podman's; ``mode`` is the isolation that a RUN finds, empty where RUN steps are refused. ``arguments`` are
    given to the executor."""

    options: list[str]
    mode: str
    arguments: tuple[str, ...] = ()

    def with_profile(self, path: str) -> list[str]:
        return [option.replace("=DOCKER", f"={path}") for option in self.options]


ENVIRONMENTS = {
    "podman's default": Environment([], "userns"),
    "Docker's default": Environment(_DOCKER, "inplace"),
    "Docker's default, chroot": Environment(_DOCKER, "chroot", ("--isolation=chroot",)),
    "seccomp unconfined": Environment(_UNCONFINED, "userns"),
    "privileged": Environment(["--privileged"], "namespaces"),
    "SYS_ADMIN": Environment(["--cap-add", "SYS_ADMIN"], "namespaces"),
    "user namespace": Environment([*_MAP, *_RUNTIME_DEFAULT], "inplace"),
    "user namespace, unconfined": Environment([*_MAP, *_UNCONFINED], "userns"),
    "user namespace, unconfined, SYS_ADMIN": Environment([*_MAP, *_UNCONFINED, "--cap-add", "SYS_ADMIN"], "namespaces"),
    "no capabilities": Environment(["--cap-drop", "ALL"], _REFUSED),
    "restricted": Environment([*_RESTRICTED, *_RUNTIME_DEFAULT], _REFUSED),
    "restricted, podman's profile": Environment(_RESTRICTED, "userns-single"),
    "restricted, unconfined": Environment([*_RESTRICTED, *_UNCONFINED], "userns-single"),
    "restricted, the shipped profile": Environment([*_RESTRICTED, *_OURS], "userns-single"),
    "the shipped profile": Environment(_OURS, "userns"),
}

IN_ANOTHER_IMAGE = "chroot"
"""What Docker's default gives where gazami is installed in an image that is not its own: never what would empty that."""

RUNNING = [name for name, environment in ENVIRONMENTS.items() if environment.mode]
REFUSING = [name for name, environment in ENVIRONMENTS.items() if not environment.mode]
