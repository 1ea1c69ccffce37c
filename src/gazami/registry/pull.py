"""A blob's bytes, whatever the connection does: resumed where it was cut, counted and hashed as they come.

Each attempt asks the registry anew, since an address that it redirects to may have expired. A server that ignores
Range sends the blob from its start, and what is known already is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gazami.errors import IntegrityError
from gazami.image.digest import hasher_for
from gazami.image.manifest import Descriptor
from gazami.registry.session import Call, Session
from gazami.registry.transport import ConnectionFault, Response
from gazami.registry.wire import parse_content_range_start, parse_length, redact


def download(
    session: Session, repository: str, descriptor: Descriptor, reached: Callable[[int], None]
) -> Iterator[bytes]:
    """The blob in chunks of at most 1 MiB; ``reached`` is told the bytes so far after each.

    Raises :class:`IntegrityError` as soon as there are too many bytes, or in place of the end when their digest is
    wrong; :class:`TransportError` when attempts in a row bring nothing more; :class:`NotFoundError`.
    """
    hasher = hasher_for(descriptor.digest)
    offset = failures = 0
    ranged = True
    while True:
        before = offset
        call = _call(repository, descriptor, offset if ranged else 0)
        with session.send(call) as response:
            if response.status == 416 and ranged and offset:
                ranged = False
                continue
            skip = offset - _start(session, response, call, descriptor)
            try:
                for chunk in response.chunks():
                    session.transport.cancel.check()
                    if skip:
                        chunk, skip = chunk[skip:], max(0, skip - len(chunk))
                    if not chunk:
                        continue
                    offset += len(chunk)
                    if offset > descriptor.size:
                        raise _wrong(response, descriptor, f"more than the {descriptor.size} bytes that it should have")
                    hasher.update(chunk)
                    reached(offset)
                    yield chunk
                fault = ConnectionFault(
                    "cut", f"the blob ended after {offset} of {descriptor.size} bytes", response.url
                )
            except ConnectionFault as cut:
                fault = cut
            if offset == descriptor.size:
                break
        failures = 1 if offset > before else failures + 1
        pause = session.transport.pause(failures)
        if pause is None:
            raise fault.after(failures)
        session.transport.wait(pause)
    if hasher.hexdigest() != descriptor.digest.partition(":")[2]:
        raise _wrong(response, descriptor, f"the digest {hasher.name}:{hasher.hexdigest()}")


def _call(repository: str, descriptor: Descriptor, offset: int) -> Call:
    headers = (("Range", f"bytes={offset}-"),) if offset else ()
    target = f"/v2/{repository}/blobs/{descriptor.digest}"
    return Call("GET", target, repository, (f"repository:{repository}:pull",), headers)


def _start(session: Session, response: Response, call: Call, descriptor: Descriptor) -> int:
    """The offset of the body's first byte in the blob."""
    if response.status == 206:
        start = parse_content_range_start(response.header("Content-Range"))
        if start is None or call.headers != (("Range", f"bytes={start}-"),):
            raise _wrong(response, descriptor, "another range than the one asked for")
        return start
    if response.status != 200:
        raise session.refusal(response, f"pull blob {descriptor.digest} of {call.repository}", call)
    length = parse_length(response.header("Content-Length"))
    if length is not None and length != descriptor.size:
        raise _wrong(response, descriptor, f"{length} bytes where {descriptor.size} were promised")
    return 0


def _wrong(response: Response, descriptor: Descriptor, found: str) -> IntegrityError:
    url = redact(response.url)
    return IntegrityError(
        f"blob {descriptor.digest} has {found} (from {url})",
        url=url,
        status=response.status,
        hint="the registry's storage, a cache or a proxy in between is damaged: push the image again, or go around it",
    )
