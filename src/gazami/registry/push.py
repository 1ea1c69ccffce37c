"""Doing what an ``upload.Upload`` decides: one request for each action, the blob's bytes streamed from its source."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, assert_never

from gazami.errors import AuthenticationError, GazamiError, HostError, NotFoundError, RegistryError
from gazami.registry.exchange import Body, Response
from gazami.registry.faults import ConnectionFault
from gazami.registry.manifests import call_of
from gazami.registry.session import Call, Session
from gazami.registry.upload import (
    LOST,
    SMALL,
    Action,
    Answer,
    Ask,
    Commit,
    Done,
    GaveUp,
    Head,
    How,
    MountBlob,
    Send,
    SendAll,
    Start,
    advance,
    begin,
)
from gazami.registry.wire import parse_length, parse_range_end, with_query
from gazami.values import fast_dataclass, replace

if TYPE_CHECKING:
    from gazami.image.manifest import Descriptor
    from gazami.image.reference import Reference
    from gazami.registry.sessions import Sessions

Bytes = Callable[[int], Iterator[bytes]]
"""A blob's bytes from an offset on."""

_PIECE = 256 * 1024

_CHECKING = "error checking push permissions"


def from_file(open_file: Callable[[], BinaryIO]) -> Bytes:
    """The bytes of a seekable file, opened anew for each attempt. Reading raises :class:`HostError`."""

    def read(offset: int) -> Iterator[bytes]:
        try:
            with open_file() as file:
                file.seek(offset)
                while chunk := file.read(_PIECE):
                    yield chunk
        except FileNotFoundError as cause:
            raise NotFoundError(f"a blob to upload no longer exists: {cause.filename}") from cause
        except OSError as cause:
            raise HostError(f"cannot read a blob during its upload: {cause}") from cause

    return read


def from_start(open_bytes: Callable[[], Iterator[bytes]]) -> Bytes:
    """The bytes of a source that can only be read from its start, such as another registry."""

    def read(offset: int) -> Iterator[bytes]:
        for chunk in open_bytes():
            if offset < len(chunk):
                yield chunk[offset:]
            offset = max(0, offset - len(chunk))

    return read


class Push:
    """One blob on its way to one repository.

    ``reached`` gets the bytes sent so far; ``check`` may raise to stop. ``commit_timeout`` is in seconds: a storage may copy a
    large blob before it answers.
    """

    def __init__(
        self,
        session: Session,
        repository: str,
        descriptor: Descriptor,
        blob: Bytes,
        *,
        reached: Callable[[int], None],
        check: Callable[[], None],
        commit_timeout: float,
    ) -> None:
        self._session = session
        self._repository = repository
        self._descriptor = descriptor
        self._blob = blob
        self._reached = reached
        self._check = check
        self._commit_timeout = commit_timeout
        self._problem: RegistryError | None = None
        self._lost = 0

    def run(self, mounts: tuple[str, ...], attempts: int, location: str = "") -> How:
        """``location`` is that of an upload that was opened before, if there is one. Raises the error of the last answer when the
        upload cannot be made to succeed."""
        upload = begin(self._descriptor.size, mounts, attempts, location)
        while True:
            self._check()
            match upload.action:
                case Done(how):
                    return how
                case GaveUp():
                    raise self._failure()
                case _:
                    if upload.pause.failures:
                        failures = min(upload.pause.failures, attempts - 1)
                        pause = self._session.transport.pause(failures, upload.pause.seconds)
                        if pause is None:
                            raise self._failure()
                        self._session.transport.wait(pause)
                    upload = advance(upload, self._do(upload.action))

    def _failure(self) -> RegistryError:
        what = f"cannot push blob {self._descriptor.digest} to {self._repository}"
        if isinstance(self._problem, ConnectionFault):
            return self._problem.after(self._lost, what)
        return self._problem or RegistryError(what)

    def _do(self, action: Action) -> Answer:
        call = self._call(action)
        transport = self._session.transport
        waits = isinstance(action, Send | SendAll) and self._descriptor.size > SMALL  # for room on the link: small ones need none
        room = transport.sending.one(transport.cancel) if waits else contextlib.nullcontext()
        try:
            with room, self._session.attempt(call) as response:
                return self._answer(action, call, response)
        except ConnectionFault as fault:
            self._problem = fault
            self._lost += 1
            if fault.is_final:
                raise self._failure() from fault.__cause__
            return Answer(LOST)
        except AuthenticationError as error:
            if not isinstance(action, MountBlob):
                raise
            self._problem = error
            return Answer(error.status or 401)

    def _answer(self, action: Action, call: Call, response: Response) -> Answer:
        answer = Answer(
            response.status,
            self._session.location(response),
            parse_range_end(response.header("Range")),
            self._session.transport.retry_after(response),
            parse_length(response.header("OCI-Chunk-Min-Length")),
        )
        if isinstance(action, Head) and answer.status == 404:  # it is not there yet, and no source of credentials is asked for that
            return answer
        if not answer.good:
            self._problem = self._session.refusal(response, _describe(action, self._descriptor, self._repository), call)
        elif isinstance(action, Start) and not answer.location:
            self._problem = RegistryError(f"{self._session.registry} opened an upload without a Location header")
        return answer

    def _call(self, action: Action) -> Call:
        match action:
            case Head():
                return self._request("HEAD", f"/v2/{self._repository}/blobs/{self._descriptor.digest}")
            case MountBlob(source):
                url = with_query(f"/v2/{self._repository}/blobs/uploads/", "mount", self._descriptor.digest)
                return self._request("POST", with_query(url, "from", source), more=(f"repository:{source}:pull",))
            case Start():
                return self._request("POST", f"/v2/{self._repository}/blobs/uploads/")
            case Send(location, offset, length):
                return self._send(location, offset, length)
            case Commit(location):
                url = with_query(location, "digest", self._descriptor.digest)
                headers = (("Content-Type", "application/octet-stream"),)
                return self._request("PUT", url, headers=headers, timeout=self._commit_timeout)
            case SendAll(location):
                url = with_query(location, "digest", self._descriptor.digest)
                size, headers = self._descriptor.size, (("Content-Type", "application/octet-stream"),)
                body = Body(size, lambda: self._pieces(0, size))
                return self._request("PUT", url, headers=headers, body=body, timeout=self._commit_timeout)
            case Ask(location):
                return self._request("GET", location)
            case Done() | GaveUp():
                raise AssertionError("an upload that is over asks for nothing")
            case _:
                assert_never(action)

    def _send(self, location: str, offset: int, length: int) -> Call:
        """The whole blob goes without a Content-Range, as every registry takes it; a part of it needs one."""
        headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/octet-stream"),)
        if length != self._descriptor.size:
            headers = (*headers, ("Content-Range", f"{offset}-{offset + length - 1}"))
        body = Body(length, lambda: self._pieces(offset, length))
        return self._request("PATCH", location, headers=headers, body=body)

    def _pieces(self, offset: int, length: int) -> Iterator[bytes]:
        end = offset + length
        for chunk in self._blob(offset):
            self._check()
            piece = chunk[: end - offset]
            yield piece
            offset += len(piece)
            self._reached(offset)
            if offset == end and end != self._descriptor.size:
                return
        if offset != end:
            raise HostError(f"blob {self._descriptor.digest} has {offset} bytes instead of {self._descriptor.size}")

    def _request(
        self,
        method: str,
        target: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        body: Body | None = None,
        more: tuple[str, ...] = (),
        timeout: float | None = None,
    ) -> Call:
        scopes = (f"repository:{self._repository}:pull,push", *more)
        return Call(method, target, self._repository, scopes, headers, body, timeout)


def _describe(action: Action, descriptor: Descriptor, repository: str) -> str:
    match action:
        case Head():
            return f"look for blob {descriptor.digest} in {repository}"
        case MountBlob(source):
            return f"mount blob {descriptor.digest} from {source} into {repository}"
        case _:
            return f"push blob {descriptor.digest} to {repository}"


_CLOSING = 5.0
"""Seconds for an answer that nobody needs: a registry forgets uploads by itself."""


@fast_dataclass(frozen=True, slots=True)
class PushChecks:
    """Whether a registry takes pushes: an upload is opened, which a push goes on with later, or which is cancelled.

    ``opened`` has the URL of an upload by repository, with its registry. Several threads use it: each operation on it is one step.
    """

    sessions: Sessions
    opened: dict[str, str]

    def check(self, reference: Reference, *, keep: bool = False) -> None:
        """Raises :class:`AuthenticationError` when the registry does not allow a push, and what else it says. ``keep``: the upload
        stays open for :meth:`take`."""
        session = self.sessions.of(reference, "push")
        call = _opening("POST", reference)
        with named(_CHECKING), session.send(call) as response:
            if response.status not in (200, 201, 202):
                raise session.refusal(response, f"push to {reference.context}", call)
            location = session.location(response)
        if location:
            self.opened[reference.context] = location
        if not keep:
            self.close((reference,))

    def take(self, reference: Reference) -> str:
        """The URL of an upload to go on with; nothing where there is none, or another took it."""
        return self.opened.pop(reference.context, "")

    def close(self, references: Iterable[Reference]) -> None:
        """Cancel what nobody took."""
        for reference in references:
            if location := self.take(reference):
                call = replace(_opening("DELETE", reference), target=location, timeout=_CLOSING)
                with contextlib.suppress(GazamiError), self.sessions.of(reference, "push").attempt(call):
                    pass


def _opening(method: str, reference: Reference) -> Call:
    return call_of(method, "blobs/uploads/", reference, "push")


@contextlib.contextmanager
def named(what: str) -> Iterator[None]:
    """Begin the message of a registry's error with ``what``, the words that kaniko's users look for in their logs."""
    try:
        yield
    except RegistryError as error:
        if not error.message.startswith(what):
            error.message = f"{what}: {error.message}"
        raise
