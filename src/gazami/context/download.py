"""Files from http and https URLs: streamed to disk, resumed after a cut, checked against a digest."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from gazami.errors import IntegrityError, NotFoundError, RegistryError
from gazami.image.digest import Digest, verified
from gazami.registry.exchange import Request, Response
from gazami.registry.redirects import MAX_REDIRECTS, STATUSES, check_redirect, joined, same_origin
from gazami.registry.resumed import resumed
from gazami.registry.routing import Trust
from gazami.registry.transport import Transport
from gazami.registry.wire import redact
from gazami.values import fast_dataclass

UNNAMED = "__unnamed__"


@fast_dataclass(frozen=True, slots=True)
class Downloaded:
    """``name`` is the last component of the URL's path; ``modified`` the Last-Modified header in seconds, 0 without one."""

    path: Path
    name: str
    size: int
    modified: int


Headers = tuple[tuple[str, str], ...]
Authorize = Callable[[Headers], Headers]
"""From a request's headers to those that prove who asks, made anew for each request: signatures end, tokens too."""


def nobody(headers: Headers) -> Headers:
    """No proof at all."""
    return ()


def stream(url: str, transport: Transport, authorize: Authorize = nobody) -> Iterator[bytes]:
    """The bytes behind a URL, resumed after a cut; errors as for :func:`download`."""
    return _Source(url, transport, authorize).chunks()


def download(url: str, folder: Path, transport: Transport, checksum: str = "") -> Downloaded:
    """Fetch ``url`` into a new file below ``folder``. Raises :class:`RegistryError` kinds, :class:`IntegrityError`."""

    def wrong(found: str) -> IntegrityError:
        where = redact(url)
        return IntegrityError(f"{where} has {found}, not {checksum} as --checksum says", url=where)

    source = _Source(url, transport)
    chunks = verified(source.chunks(), Digest(checksum), None, wrong) if checksum else source.chunks()
    fd, name = tempfile.mkstemp(dir=folder, prefix="download-")
    path = Path(name)
    try:
        with os.fdopen(fd, "wb", buffering=0) as file:
            for chunk in chunks:
                file.write(chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Downloaded(path, file_name(url), path.stat().st_size, source.modified)


def file_name(url: str) -> str:
    return unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2] or UNNAMED


class _Source:
    """What a URL answers. ``modified`` is known once the first chunk is there."""

    def __init__(self, url: str, transport: Transport, authorize: Authorize = nobody) -> None:
        self.modified = 0
        self._url, self._transport, self._authorize = url, transport, authorize
        self._tag = ""

    def chunks(self) -> Iterator[bytes]:
        return resumed(self._ask, self._transport, what=f"download {redact(self._url)}")

    @contextlib.contextmanager
    def _ask(self, done: int) -> Iterator[tuple[Response, int]]:
        headers = (("Range", f"bytes={done}-"), ("If-Range", self._tag)) if done and self._tag else ()
        with _open(self._url, self._transport, headers, self._authorize) as response:
            if response.status == 206 and done:
                yield response, done
                return
            _check(response, self._url)
            before, self._tag = self._tag, response.header("ETag") or response.header("Last-Modified") or ""
            if done and before and self._tag != before:
                raise IntegrityError(f"{redact(self._url)} changed during the download")
            self.modified = _modified(response)
            yield response, 0


def _open(url: str, transport: Transport, headers: Headers, authorize: Authorize) -> Response:
    """Follow redirects; what proves who we are goes to the URL's own host only."""
    named, credentials = _split_credentials(url)
    target = named
    for _ in range(MAX_REDIRECTS + 1):
        own: Headers = ()
        if same_origin(target, named):
            own = (("Authorization", credentials),) if credentials else authorize(headers)
        request = Request("GET", target, (*headers, *own))
        response = transport.persist(lambda request=request: transport.exchange(request, Trust()))  # type: ignore[misc]
        location = response.header("Location") if response.status in STATUSES else None
        if not location:
            return response
        response.close()
        following = joined(target, location)
        check_redirect(target, following)
        target = following
    raise RegistryError(f"{redact(url)} redirects more than {MAX_REDIRECTS} times", url=redact(url))


def _split_credentials(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    bare = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    if not at:
        return bare, ""
    return bare, "Basic " + base64.b64encode(unquote(userinfo).encode()).decode()


def _check(response: Response, url: str) -> None:
    if response.status == 200:
        return
    said = re.search(rb"<Code>([A-Za-z0-9]{1,60})</Code>", response.read_some())
    reason = f" ({said[1].decode()})" if said else ""
    if response.status == 404:
        raise NotFoundError(f"{redact(url)}: not found (404){reason}", url=redact(url), status=404)
    raise RegistryError(
        f"{redact(url)}: the server answered with status {response.status}{reason}",
        url=redact(url),
        status=response.status,
        hint="check its credentials" if response.status in (401, 403) else None,
    )


def _modified(response: Response) -> int:
    text = response.header("Last-Modified")
    if not text:
        return 0
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        return 0
