"""A blob's bytes, whatever the connection does: resumed where it was cut, counted and hashed as they come.

Each attempt asks the registry anew, since an address that it redirects to may have expired. A server that ignores
Range sends the blob from its start, and what is known already is skipped. Where there are several origins (mirrors),
one that fails hands over to the next, which goes on at the byte that was reached.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence

from gazami.errors import IntegrityError, RegistryError
from gazami.image.digest import hasher_for
from gazami.image.manifest import Descriptor
from gazami.registry.faults import ConnectionFault
from gazami.registry.session import Call, Session
from gazami.registry.transport import Response
from gazami.registry.wire import parse_content_range_start, parse_length, redact
from gazami.values import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """A repository that should have the blob, and the registry to ask."""

    session: Session
    repository: str


def download(
    origins: Sequence[Origin],
    descriptor: Descriptor,
    reached: Callable[[int], None],
    failed: Callable[[Origin, RegistryError], None] = lambda origin, error: None,
) -> Iterator[bytes]:
    """The blob in chunks of at most 1 MiB; ``reached`` is told the bytes so far after each, ``failed`` which origin
    is left for the next one and why.

    Raises :class:`IntegrityError` as soon as there are too many bytes, or in place of the end when their digest is
    wrong; of the last origin :class:`TransportError` when attempts in a row bring nothing more, :class:`NotFoundError`
    and other refusals.
    """
    pull = _Pull(descriptor, reached)
    for place, origin in enumerate(origins, start=1):
        try:
            yield from pull.chunks(origin)
        except _Beyond as error:
            raise error.cause from None
        except RegistryError as error:
            if place == len(origins):
                raise
            failed(origin, error)
        else:
            return


class _Beyond(Exception):
    """Bytes that were handed out already are wrong, which no other origin can mend."""

    def __init__(self, cause: IntegrityError) -> None:
        super().__init__()
        self.cause = cause


class _Pull:
    """How far a blob has come, over all attempts and origins."""

    def __init__(self, descriptor: Descriptor, reached: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._reached = reached
        self._hasher = hasher_for(descriptor.digest)
        self._offset = 0

    def chunks(self, origin: Origin) -> Iterator[bytes]:
        session = origin.session
        failures = 0
        ranged = True
        while True:
            before = self._offset
            call = _call(origin.repository, self._descriptor, self._offset if ranged else 0)
            with session.send(call) as response:
                if response.status == 416 and ranged and self._offset:
                    ranged = False
                    continue
                fault = yield from self._body(session, response, call)
                if self._offset == self._descriptor.size:
                    self._verify(response)
                    return
            failures = 1 if self._offset > before else failures + 1
            pause = session.transport.pause(failures)
            if pause is None or failures == session.attempts:
                raise fault.after(failures)
            session.transport.wait(pause)

    def _body(self, session: Session, response: Response, call: Call) -> Generator[bytes, None, ConnectionFault]:
        """Hand out what an answer brings beyond the bytes that there are. Returns why it ended."""
        skip = self._offset - _start(session, response, call, self._descriptor)
        size = self._descriptor.size
        try:
            for chunk in response.chunks():
                session.transport.cancel.check()
                if skip:
                    chunk, skip = chunk[skip:], max(0, skip - len(chunk))
                if not chunk:
                    continue
                if self._offset + len(chunk) > size:
                    found = f"more than the {size} bytes that it should have"
                    raise _Beyond(_wrong(response, self._descriptor, found))
                self._offset += len(chunk)
                self._hasher.update(chunk)
                self._reached(self._offset)
                yield chunk
        except ConnectionFault as cut:
            return cut
        return ConnectionFault("cut", f"the blob ended after {self._offset} of {size} bytes", response.url)

    def _verify(self, response: Response) -> None:
        if self._hasher.hexdigest() != self._descriptor.digest.partition(":")[2]:
            found = f"the digest {self._hasher.name}:{self._hasher.hexdigest()}"
            raise _Beyond(_wrong(response, self._descriptor, found))


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
