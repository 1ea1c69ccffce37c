"""Passwords in environment variables: kaniko's ``KANIKO_<HOST>_USER`` pairs, and those of a GitLab job."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gazami.image.reference import DOCKER_HUB
from gazami.registry.credentials import Credential, Lookup
from gazami.registry.routing import host_of

_GITLAB = (
    ("CI_REGISTRY", "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"),
    ("CI_DEPENDENCY_PROXY_SERVER", "CI_DEPENDENCY_PROXY_USER", "CI_DEPENDENCY_PROXY_PASSWORD"),
)
"""Host, user and password as GitLab names them (predefined CI/CD variables)."""


class HostVariables:
    """``KANIKO_REGISTRY_EXAMPLE_COM_USER`` and ``_PASSWORD``; leading labels are dropped until a pair is found."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def lookup(self, registry: str, repository: str) -> Lookup:
        for name in _names(registry):
            user, password = self._environ.get(f"{name}_USER"), self._environ.get(f"{name}_PASSWORD")
            if user and password:
                return Lookup(Credential(user, password), (f"{name}_USER: used, user {user}",))
        return Lookup()


class GitLab:
    """What every job of GitLab CI has for the registry of its instance."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def lookup(self, registry: str, repository: str) -> Lookup:
        for host, user, password in _GITLAB:
            if _same(self._environ.get(host, ""), registry):
                credential = Credential(self._environ.get(user, ""), self._environ.get(password, ""))
                if credential.username and credential.password:
                    return Lookup(credential, (f"GitLab's {user}: used, user {credential.username}",))
                return Lookup(None, (f"GitLab: {host} is set, but not both of {user} and {password}",))
        return Lookup()


def _same(variable: str, registry: str) -> bool:
    """A variable may be written as a URL; the default port of https changes nothing."""
    host = variable.strip().rpartition("://")[2].partition("/")[0].lower()
    return bool(host) and host.removesuffix(":443") == registry.lower().removesuffix(":443")


def _names(registry: str) -> Iterator[str]:
    host = "index.docker.io" if registry == DOCKER_HUB else registry
    for spelled in dict.fromkeys((host.replace(":", "_"), host_of(host))):
        labels = re.sub(r"[^A-Za-z0-9_.-]", "_", spelled).upper().replace("-", "_").split(".")
        for dropped in range(len(labels)):
            yield "KANIKO_" + "_".join(labels[dropped:])
