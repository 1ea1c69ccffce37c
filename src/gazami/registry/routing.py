"""Where a registry's name leads: the host of its API and the schemes to try, in order. No I/O.

https alone is spoken to a name on the network. Names that can only be near (loopback, private addresses, ``*.local``)
and those declared insecure are tried with https first and with http when nothing there speaks TLS, as kaniko does.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Literal

from gazami.image.reference import DOCKER_HUB
from gazami.registry.options import Direction, TrustOptions
from gazami.values import fast_dataclass

Scheme = Literal["https", "http"]

_HUB_API = "registry-1.docker.io"
_LOCAL_NAME = re.compile(r"(?:\A|\.)localhost\Z|\.local\Z", re.IGNORECASE)
_NEAR = tuple(ipaddress.ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "::1/128"))


@fast_dataclass(frozen=True, slots=True)
class Route:
    """``host`` has the port when the name has one. ``schemes`` are tried in order until one of them answers."""

    host: str
    schemes: tuple[Scheme, ...]


@fast_dataclass(frozen=True, slots=True)
class Trust:
    """How a registry proves who it is, and how we do: CA files in addition to the system's, a certificate and key."""

    verify: bool = True
    authorities: tuple[str, ...] = ()
    client: tuple[str, str] | None = None


def route(registry: str, options: TrustOptions, direction: Direction) -> Route:
    host = _HUB_API if registry == DOCKER_HUB else registry
    everywhere = options.insecure if direction == "push" else options.insecure_pull
    if everywhere or registry in options.insecure_registries or is_near(registry):
        return Route(host, ("https", "http"))
    return Route(host, ("https",))


def trust(registry: str, options: TrustOptions, direction: Direction) -> Trust:
    """The TLS options for ``registry``; not verifying wins over certificates."""
    everywhere = options.skip_tls_verify or (direction == "pull" and options.skip_tls_verify_pull)
    client = next(((cert, key) for name, cert, key in options.client_certificates if name == registry), None)
    if everywhere or registry in options.skip_tls_verify_registries:
        return Trust(verify=False, client=client)
    return Trust(authorities=tuple(path for name, path in options.certificates if name == registry), client=client)


def is_near(registry: str) -> bool:
    """Whether the name is a loopback or private (RFC 1918) address, ``localhost``, or below ``.local``."""
    host = host_of(registry)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bool(_LOCAL_NAME.search(host))
    return any(address in network for network in _NEAR if network.version == address.version)


def is_loopback(registry: str) -> bool:
    """Whether the name is ``localhost`` or a loopback address."""
    host = host_of(registry)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def host_of(netloc: str) -> str:
    """A network location without its port and without the brackets of an IPv6 address."""
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0]
    return netloc.rpartition(":")[0] if netloc.count(":") == 1 else netloc
