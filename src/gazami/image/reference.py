"""Image references (distribution spec, and Docker's short names): ``[registry/]repository[:tag][@digest]``."""

from __future__ import annotations

import re

from gazami.errors import UsageError
from gazami.image.digest import Digest, parse_digest
from gazami.values import fast_dataclass, replace

DOCKER_HUB = "index.docker.io"
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_REGISTRY = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9a-fA-F:]+\])(?::[0-9]+)?\Z"
)


@fast_dataclass(frozen=True, slots=True)
class Reference:
    """A fully qualified name. ``tag`` is None only when ``digest`` is given without one.

    ``registry`` of Docker Hub is ``index.docker.io``, as kaniko's output files write it.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @property
    def context(self) -> str:
        """``registry/repository``: the repository's full name."""
        return f"{self.registry}/{self.repository}"

    @property
    def identifier(self) -> str:
        """What to ask the registry for: the digest when there is one, else the tag."""
        return self.digest or self.tag or "latest"

    @property
    def familiar(self) -> str:
        """The short form that Docker prints: no Docker Hub host, no ``library/``."""
        name = self.repository
        if self.registry == DOCKER_HUB:
            name = name.removeprefix("library/")
        else:
            name = f"{self.registry}/{name}"
        return name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def with_tag(self, tag: str) -> Reference:
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: Digest) -> Reference:
        return replace(self, digest=digest)

    def __str__(self) -> str:
        text = self.context
        if self.tag:
            text += f":{self.tag}"
        if self.digest:
            text += f"@{self.digest}"
        return text


def parse_reference(text: str) -> Reference:
    """Read a reference as Docker does: default registry Docker Hub, ``library/``, tag ``latest``.

    Raises :class:`UsageError` naming the part that is wrong.
    """
    rest, digest = text, None
    if "@" in rest:
        rest, _, encoded = rest.partition("@")
        digest = parse_digest(encoded)
    tag: str | None = None
    head, slash, tail = rest.rpartition("/")
    if ":" in tail:
        tail, _, tag = tail.partition(":")
        rest = head + slash + tail
    first, slash, remainder = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first.lower() != first):
        registry, repository = first, remainder
    else:
        registry, repository = DOCKER_HUB, rest
    if registry in _HUB_NAMES:
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    _check(text, registry, repository, tag)
    if tag is None and digest is None:
        tag = "latest"
    return Reference(registry, repository, tag, digest)


def _check(text: str, registry: str, repository: str, tag: str | None) -> None:
    if not _REGISTRY.match(registry):
        raise UsageError(f"invalid reference {text!r}: {registry!r} is not a registry host")
    if not _REPOSITORY.match(repository) or len(repository) > 255:
        hint = "write repository names in lower case" if repository != repository.lower() else None
        raise UsageError(f"invalid reference {text!r}: {repository!r} is not a repository name", hint=hint)
    if tag is not None and not _TAG.match(tag):
        raise UsageError(f"invalid reference {text!r}: {tag!r} is not a tag")
