"""Where an image may be pulled from: the mirrors of its registry in their order, then the registry itself. No I/O.

A mirror is ``[scheme://]host[:port][/prefix]``; the image's repository is kept behind the prefix, so that
``docker.io/library/debian`` becomes ``host/prefix/library/debian``. Names in messages, cache keys and outputs stay the
original ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from gazami.errors import NotFoundError, RegistryError, TransportError, UsageError
from gazami.image.reference import DOCKER_HUB, Reference, parse_reference
from gazami.registry.options import RegistryOptions
from gazami.values import fast_dataclass

Scheme = Literal["https", "http"]


@fast_dataclass(frozen=True, slots=True)
class PullSource:
    """A repository that an image may be pulled from. ``scheme`` is set where the mirror was written with one."""

    registry: str
    repository: str
    scheme: Scheme | None = None
    mirror: bool = True

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}"


@fast_dataclass(frozen=True, slots=True)
class Mirror:
    registry: str
    prefix: str = ""
    scheme: Scheme | None = None


def parse_mirror(text: str) -> Mirror:
    """Read one mirror as a flag names it. Raises :class:`UsageError`."""
    scheme, separator, rest = text.strip().rpartition("://")
    if separator and scheme not in ("http", "https"):
        raise UsageError(f"the mirror {text!r} has the scheme {scheme!r}", hint="use http://, https:// or no scheme")
    host, _, prefix = rest.strip("/").partition("/")
    try:  # a name that is not a host is found out by reading an image's name with it
        named = parse_reference(f"{host if _looks_like_host(host) else host + ':443'}/{prefix or 'x'}/x")
    except UsageError as error:
        hint = "write HOST[:PORT][/PREFIX], for example mirror.example.com:5000/docker-hub"
        raise UsageError(f"{text!r} is not a mirror: {error.message}", hint=hint) from None
    registry = named.registry if _looks_like_host(host) else host
    return Mirror(registry, prefix, "http" if scheme == "http" else "https" if scheme == "https" else None)


def places(reference: Reference, options: RegistryOptions) -> tuple[PullSource, ...]:
    """The candidates in order. Without a mirror for its registry, the reference's own repository alone."""
    mirrors = dict.fromkeys(parse_mirror(target) for key, target in options.mirrors if _registry_of(key) == reference.registry)
    found = [_behind(mirror, reference.repository) for mirror in mirrors]
    if options.fallback or not found:
        found.append(PullSource(reference.registry, reference.repository, None, mirror=False))
    return tuple(found)


def none_has(reference: Reference, failures: Iterable[tuple[PullSource, RegistryError]]) -> RegistryError:
    """The error after every mirror failed and the registry itself was not to be asked, with each one's reason."""
    told = tuple(failures)
    reasons = "; ".join(f"{place.registry}: {error.message}" for place, error in told)
    message = f"image not found on any configured mapped registries for {reference.registry}: {reference} ({reasons})"
    hint = "check --registry-mirror and --registry-map, or leave out --skip-default-registry-fallback"
    kinds = {type(error) for _, error in told}
    if kinds == {NotFoundError}:
        return NotFoundError(message, status=404, hint=hint)
    return (TransportError if TransportError in kinds else RegistryError)(message, hint=hint)


def _registry_of(key: str) -> str:
    """``index.docker.io``, ``docker.io`` and ``https://index.docker.io/v1/`` all mean Docker Hub."""
    host = key.strip().rpartition("://")[2].partition("/")[0]
    return parse_reference(f"{host}/x/x").registry if _looks_like_host(host) else host


def _looks_like_host(host: str) -> bool:
    return "." in host or ":" in host or host == "localhost"


def _behind(mirror: Mirror, repository: str) -> PullSource:
    path = f"{mirror.prefix}/{repository}" if mirror.prefix else repository
    if mirror.registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return PullSource(mirror.registry, path, mirror.scheme)
