"""Passwords in environment variables: kaniko's ``KANIKO_<HOST>_USER`` pairs, and those of a GitLab job."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from gazami.image.reference import DOCKER_HUB
from gazami.registry.credentials import Credential, Lookup
from gazami.registry.routing import host_of
from gazami.values import fast_dataclass

_GITLAB = (
    ("CI_REGISTRY", "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"),
    ("CI_DEPENDENCY_PROXY_SERVER", "CI_DEPENDENCY_PROXY_USER", "CI_DEPENDENCY_PROXY_PASSWORD"),
)
"""Host, user and password as GitLab names them (predefined CI/CD variables)."""


class HostVariables:
    """``KANIKO_REGISTRY_EXAMPLE_COM_USER`` and ``_PASSWORD``; leading labels are dropped until a pair is found.

    The name of a variable may mean several hosts: ``registry.corp.example``, ``registry-corp.example``. It goes to one that the
    user named elsewhere (``named``: destinations, mirrors, docker's config), else to the one without hyphens. Two underscores
    are a hyphen and nothing else.
    """

    def __init__(self, environ: Mapping[str, str], named: Iterable[str] = ()) -> None:
        self._environ = environ
        self._named = frozenset(host_of(host).lower() for host in named)

    def lookup(self, registry: str, repository: str) -> Lookup:
        asked: list[str] = []
        for reading in _readings(registry):
            name = reading.variable
            user, password = self._environ.get(f"{name}_USER"), self._environ.get(f"{name}_PASSWORD")
            if not user or not password:
                continue
            if self._is_for(reading, registry):
                return Lookup(Credential(user, password), (*asked, f"{name}_USER: used, user {user}"))
            sure = next(_readings(registry)).variable
            asked.append(f"{name}_USER: not used, since it may be meant for another host ({sure}_USER is for this one alone)")
        return Lookup(None, tuple(asked))

    def _is_for(self, reading: _Reading, registry: str) -> bool:
        if host_of(registry).lower() in self._named:
            return True
        for host in self._named:
            if any(each.variable == reading.variable and each.host != reading.host for each in _readings(host)):
                return False
        return reading.sure


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


@fast_dataclass(frozen=True, slots=True)
class _Reading:
    """``variable`` without its ending, the ``host`` (or domain above it) that it stands for, and whether for no other one."""

    variable: str
    host: str
    sure: bool


def _readings(registry: str) -> Iterator[_Reading]:
    """The most specific first; of each, the spelling with two underscores before the one with one."""
    host = ("index.docker.io" if registry == DOCKER_HUB else registry).lower()
    for spelled in dict.fromkeys((host, host_of(host))):
        labels = spelled.split(".")
        for dropped in range(len(labels)):
            left = ".".join(labels[dropped:])
            upper = re.sub(r"[^A-Z0-9_-]", "_", left.upper())
            hyphen = "-" in left
            if hyphen:
                yield _Reading("KANIKO_" + upper.replace("-", "__"), left, "_" not in left and "--" not in left)
            yield _Reading("KANIKO_" + upper.replace("-", "_"), left, not hyphen and "_" not in left)
