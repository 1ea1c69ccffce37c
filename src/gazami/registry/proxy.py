"""Which proxy a request goes through: the rules of Go's httpproxy, which Docker and kaniko follow. No I/O.

``NO_PROXY`` is a comma-separated list of ``*``, host names (which cover their subdomains), ``.suffixes`` and
``*.suffixes`` (which cover subdomains alone), addresses and CIDR ranges; names and addresses may carry a port.
``localhost`` and loopback addresses never go through a proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from gazami.errors import UsageError
from gazami.registry.routing import host_of

_PORTS = {"http": 80, "https": 443}


def choose_proxy(url: str, proxies: Iterable[tuple[str, str]]) -> str | None:
    """The proxy's URL for a request to ``url``, or None for none.

    Raises :class:`UsageError` when the proxy is not an http or https one; its message has no password.
    """
    settings = dict(proxies)
    parts = urlsplit(url)
    proxy = settings.get("HTTPS_PROXY" if parts.scheme == "https" else "HTTP_PROXY", "").strip()
    host = (parts.hostname or "").rstrip(".")
    if not proxy or bypasses(host, parts.port or _PORTS[parts.scheme], settings.get("NO_PROXY", "")):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if urlsplit(proxy).scheme not in _PORTS:
        raise UsageError(f"a {urlsplit(proxy).scheme} proxy is not supported for registries", hint="use an http or https proxy")
    return proxy


def bypasses(host: str, port: int, no_proxy: str) -> bool:
    """Whether ``host`` (lower case, no brackets) is reached directly."""
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(entry.strip().lower(), host.lower(), address, port) for entry in no_proxy.split(","))


def _matches(entry: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int) -> bool:
    if entry in ("", "*"):
        return entry == "*"
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    if _address(entry) is None:
        name = host_of(entry)
        wanted = entry[len(name) + (2 if entry.startswith("[") else 0) :].removeprefix(":")
        if wanted and wanted != str(port):
            return False
    else:
        name = entry
    if (own := _address(name)) is not None:
        return own == address
    if address is not None:
        return False
    name = name.removeprefix("*")
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
