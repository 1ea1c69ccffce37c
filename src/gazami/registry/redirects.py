"""The one rule for redirects, for registries, token servers, downloads and object stores. No I/O.

What proves who we are goes to the scheme, host and port that it is for, and nowhere else; nothing that began with https goes
on with http. curl and Go's client draw the same line (CVE-2022-27774, CVE-2022-27776).
"""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from gazami.errors import TransportError
from gazami.registry.wire import redact

MAX_REDIRECTS = 10
STATUSES = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}


def same_origin(url: str, other: str) -> bool:
    """Whether scheme, host and port are the same: the condition for sending to ``url`` what is meant for ``other``."""
    try:
        return _origin(url) == _origin(other)
    except ValueError:
        return False


def joined(url: str, location: str) -> str:
    """A Location header as an absolute URL. Raises :class:`TransportError` for what is none."""
    try:
        target = urljoin(url, location)
        _origin(target)
    except ValueError:
        raise TransportError(f"{redact(url)} redirects to something that is not a URL", url=redact(url)) from None
    return target


def check_redirect(url: str, target: str) -> None:
    """Raises :class:`TransportError` for a redirect that is not followed."""
    before, after = urlsplit(url).scheme, urlsplit(target).scheme
    if after not in _PORTS:
        raise TransportError(f"{redact(url)} redirects to {after or 'no'}://, which is not followed", url=redact(url))
    if (before, after) == ("https", "http"):
        raise TransportError(
            f"{redact(url)} redirects from https to {redact(target)}, which is not followed",
            url=redact(url),
            hint="make the server redirect to https, or use the http URL itself",
        )


def _origin(url: str) -> tuple[str, str, int]:
    """Raises ValueError for a port or an address that is none."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)
