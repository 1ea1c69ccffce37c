"""Files from http and https URLs: streamed to disk, resumed after a cut, checked against a digest."""

from __future__ import annotations

import base64
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from gazami.errors import IntegrityError, NotFoundError, RegistryError
from gazami.image.digest import Digest, hasher_for
from gazami.registry.faults import ConnectionFault
from gazami.registry.redirects import MAX_REDIRECTS, STATUSES, check_redirect, joined, same_origin
from gazami.registry.routing import Trust
from gazami.registry.transport import Request, Response, Transport
from gazami.registry.wire import redact

UNNAMED = "__unnamed__"


@dataclass(frozen=True, slots=True)
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
    for piece in _pieces(url, transport, authorize):
        if isinstance(piece, bytes):
            transport.cancel.check()
            yield piece


def download(url: str, folder: Path, transport: Transport, checksum: str = "") -> Downloaded:
    """Fetch ``url`` into a new file below ``folder``. Raises :class:`RegistryError` kinds, :class:`IntegrityError`."""
    fd, name = tempfile.mkstemp(dir=folder, prefix="download-")
    path = Path(name)
    try:
        with os.fdopen(fd, "wb", buffering=0) as file:
            modified = 0
            for piece in _pieces(url, transport):
                if isinstance(piece, int):
                    modified = piece
                else:
                    transport.cancel.check()
                    file.write(piece)
        if checksum:
            _verify(path, checksum, url)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Downloaded(path, file_name(url), path.stat().st_size, modified)


def file_name(url: str) -> str:
    return unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2] or UNNAMED


def _pieces(url: str, transport: Transport, authorize: Authorize = nobody) -> Iterator[bytes | int]:
    """The time of last modification, then the bytes; a cut is followed by a request for the rest."""
    done = failures = 0
    tag = ""
    while True:
        headers = (("Range", f"bytes={done}-"), ("If-Range", tag)) if done and tag else ()
        with _open(url, transport, headers, authorize) as response:
            if response.status == 206 and done:
                skip = 0
            else:
                _check(response, url)
                before, tag = tag, response.header("ETag") or response.header("Last-Modified") or ""
                if done and before and tag != before:
                    raise IntegrityError(f"{redact(url)} was changed while it was downloaded")
                skip = done
                yield _modified(response)
            try:
                for chunk in response.chunks():
                    fresh = chunk[skip:]
                    skip -= len(chunk) - len(fresh)
                    if fresh:
                        done += len(fresh)
                        yield fresh
                return
            except ConnectionFault as fault:
                failures += 1
                pause = transport.pause(failures)
                if pause is None:
                    raise fault.after(failures, f"download {redact(url)}") from fault.__cause__
        transport.wait(pause)


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
        hint="it may need credentials, or others" if response.status in (401, 403) else None,
    )


def _modified(response: Response) -> int:
    text = response.header("Last-Modified")
    if not text:
        return 0
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        return 0


def _verify(path: Path, checksum: str, url: str) -> None:
    hasher = hasher_for(Digest(checksum))
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            hasher.update(chunk)
    found = f"{checksum.partition(':')[0]}:{hasher.hexdigest()}"
    if found != checksum:
        raise IntegrityError(
            f"{redact(url)} has the digest {found}, not {checksum} as --checksum says", url=redact(url)
        )
