"""A blob's bytes: resumed where the connection was cut, counted and hashed as they come.

Where there are several origins (mirrors), one that fails hands over to the next, which goes on at the byte that was reached.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from gazami.errors import IntegrityError, RegistryError
from gazami.image.digest import verified
from gazami.registry.resumed import Ask, resumed
from gazami.registry.session import Call, Session
from gazami.registry.wire import parse_content_range_start, parse_length, redact
from gazami.values import fast_dataclass, replace

if TYPE_CHECKING:
    from gazami.image.manifest import Descriptor
    from gazami.registry.exchange import Response


@fast_dataclass(frozen=True, slots=True)
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
    """The blob in chunks of at most 1 MiB; ``reached`` gets the bytes so far after each, ``failed`` the origin that failed and why.

    Raises :class:`IntegrityError` as soon as there are too many bytes, or in place of the end when their digest is
    wrong; of the last origin :class:`TransportError` when attempts in a row bring nothing more, :class:`NotFoundError`
    and other refusals.
    """
    pull = _Pull(descriptor)
    chunks = pull.chunks(origins, failed)
    for chunk in verified(chunks, descriptor.digest, descriptor.size, pull.wrong):
        pull.done += len(chunk)
        reached(pull.done)
        yield chunk


def read_part(origin: Origin, descriptor: Descriptor, offset: int, length: int) -> bytes:
    """Some bytes of a blob, which nothing has verified. Raises :class:`RegistryError` where the registry sends no parts."""
    call = _call(origin.repository, descriptor, 0)
    call = replace(call, headers=(("Range", f"bytes={offset}-{offset + length - 1}"),))
    session = origin.session

    def attempt() -> Response:
        response = session.attempt(call)
        if response.status == 206:
            try:
                response.body = response.read(length)
            except BaseException:
                response.close()
                raise
        return response

    with session.transport.persist(attempt, session.attempts) as response:
        if response.status != 206:
            raise RegistryError(f"{session.registry} sends no parts of blobs")
        if parse_content_range_start(response.header("Content-Range")) != offset or len(response.body) != length:
            raise _wrong(response.url, response.status, descriptor, "not the range that was requested")
        return response.body


class _Pull:
    """How far a blob has come, over all attempts and origins, and who sent the last of it."""

    def __init__(self, descriptor: Descriptor) -> None:
        self.done = 0
        self._descriptor = descriptor
        self._sender = ("", 0)

    def wrong(self, found: str) -> IntegrityError:
        return _wrong(*self._sender, self._descriptor, found)

    def chunks(self, origins: Sequence[Origin], failed: Callable[[Origin, RegistryError], None]) -> Iterator[bytes]:
        """The bytes as they come. Those that were handed out are out: an origin never sends them again."""
        for place, origin in enumerate(origins, start=1):
            session = origin.session
            try:
                yield from resumed(
                    self._asked_of(origin),
                    session.transport,
                    done=self.done,
                    size=self._descriptor.size,
                    attempts=session.attempts,
                    in_a_row=True,
                )
                return
            except RegistryError as error:
                if place == len(origins):
                    raise
                failed(origin, error)

    def _asked_of(self, origin: Origin) -> Ask:
        ranged = True

        @contextlib.contextmanager
        def ask(done: int) -> Iterator[tuple[Response, int]]:
            nonlocal ranged
            while True:
                call = _call(origin.repository, self._descriptor, done if ranged else 0)
                with origin.session.send(call) as response:
                    if response.status == 416 and ranged and done:
                        ranged = False
                        continue
                    self._sender = response.url, response.status
                    yield response, _start(origin.session, response, call, self._descriptor)
                    return

        return ask


def _call(repository: str, descriptor: Descriptor, offset: int) -> Call:
    headers = (("Range", f"bytes={offset}-"),) if offset else ()
    target = f"/v2/{repository}/blobs/{descriptor.digest}"
    return Call("GET", target, repository, (f"repository:{repository}:pull",), headers)


def _start(session: Session, response: Response, call: Call, descriptor: Descriptor) -> int:
    """The offset of the body's first byte in the blob."""
    if response.status == 206:
        start = parse_content_range_start(response.header("Content-Range"))
        if start is None or call.headers != (("Range", f"bytes={start}-"),):
            raise _wrong(response.url, response.status, descriptor, "not the range that was requested")
        return start
    if response.status != 200:
        raise session.refusal(response, f"pull blob {descriptor.digest} of {call.repository}", call)
    length = parse_length(response.header("Content-Length"))
    if length is not None and length != descriptor.size:
        raise _wrong(response.url, response.status, descriptor, f"{length} bytes instead of {descriptor.size}")
    return 0


def _wrong(url: str, status: int, descriptor: Descriptor, found: str) -> IntegrityError:
    url = redact(url)
    return IntegrityError(
        f"blob {descriptor.digest} has {found} (from {url})",
        url=url,
        status=status,
        hint="the registry's storage, a cache or a proxy on the way is damaged: push the image again, or bypass the proxy",
    )
