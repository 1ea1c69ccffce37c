"""The life of one blob upload as pure decisions (OCI distribution spec, "Pushing a blob" and "Mounting").

An :class:`Upload` says in ``action`` what to do next; :func:`advance` takes what the registry answered and returns the
next state. The way without trouble is (MountBlob …) → Head → Start → Send → Commit → Done. Blobs that are not large are sent by
one SendAll instead of Send and Commit, and small ones without a Head: to ask for them costs as much as to send them. A mount that
was declined, and a check that the registry takes pushes, open an upload that is used. After trouble the registry is asked how much
it has, and sending goes on from there; where it does not know, the upload starts again.

It ends under any sequence of answers: ``failures`` counts troubles since the upload last got further than ever before
and ``restarts`` counts new beginnings, both are bounded by ``attempts``, and everything else moves forward.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, assert_never

from gazami.registry.retry import RETRYABLE
from gazami.values import fast_dataclass, field, replace

How = Literal["moved", "mounted", "exists"]

LARGEST_CHUNK = 64 * 1024 * 1024
SMALLEST_CHUNK = 1024 * 1024
"""Bytes: how a blob is cut into pieces for a registry that refuses it in one (413)."""

SMALL = 64 * 1024
"""Bytes of a blob that is not asked for before it is sent: to send it in vain is no loss."""

WHOLE = 4 * 1024 * 1024
"""Bytes of a blob that goes with its digest, in one request: to send it again after trouble is little loss."""

LOST = 0
"""The status of an :class:`Answer` that never came: the connection was refused, cut or silent."""


@fast_dataclass(frozen=True, slots=True)
class Head:
    """Ask whether the repository has the blob."""


@fast_dataclass(frozen=True, slots=True)
class MountBlob:
    """Ask the registry to take the blob over from ``source``, another of its repositories."""

    source: str


@fast_dataclass(frozen=True, slots=True)
class Start:
    """Open an upload session."""


@fast_dataclass(frozen=True, slots=True)
class Send:
    """PATCH ``length`` bytes of the blob from ``offset`` on."""

    location: str
    offset: int
    length: int


@fast_dataclass(frozen=True, slots=True)
class SendAll:
    """PUT the whole blob with its digest, which ends the session: one request where Send and Commit are two. ``kept``: the session
    was opened some time ago."""

    location: str
    kept: bool = False


@fast_dataclass(frozen=True, slots=True)
class Commit:
    """PUT the digest, which ends the session."""

    location: str


@fast_dataclass(frozen=True, slots=True)
class Ask:
    """GET how many bytes the session has."""

    location: str


@fast_dataclass(frozen=True, slots=True)
class Done:
    how: How


@fast_dataclass(frozen=True, slots=True)
class GaveUp:
    """The registry's last answer is the reason."""


Action: TypeAlias = Head | MountBlob | Start | Send | SendAll | Commit | Ask | Done | GaveUp


@fast_dataclass(frozen=True, slots=True)
class Answer:
    """``location`` is absolute. ``received`` is the number of bytes that the Range header speaks of, ``smallest`` the
    least that a chunk before the last may have (OCI-Chunk-Min-Length)."""

    status: int
    location: str | None = None
    received: int | None = None
    retry_after: float | None = None
    smallest: int | None = None

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def transient(self) -> bool:
        return self.status == LOST or self.status in RETRYABLE


@fast_dataclass(frozen=True, slots=True)
class Pause:
    """How long to wait before an action: by how many ``failures`` it follows, not at all for 0, and at least ``seconds``."""

    failures: int = 0
    seconds: float | None = None


@fast_dataclass(frozen=True, slots=True)
class ChunkLength:
    """Bytes that one PATCH sends: ``most`` None is all that is left, ``least`` is what the registry asks for. ``patches``: it did
    not take a small blob with its digest."""

    most: int | None = None
    least: int = 0
    patches: bool = False


@fast_dataclass(frozen=True, slots=True)
class Upload:
    """``offset`` bytes are known to be at the registry, ``best`` is the most that ever were."""

    size: int
    attempts: int
    mounts: tuple[str, ...] = ()
    action: Action = field(default_factory=Head)
    location: str = ""
    offset: int = 0
    best: int = 0
    chunk: ChunkLength = field(default_factory=ChunkLength)
    failures: int = 0
    restarts: int = 0
    committing: bool = False
    pause: Pause = field(default_factory=Pause)


def begin(size: int, mounts: tuple[str, ...] = (), attempts: int = 5, location: str = "") -> Upload:
    """A mount of what is there already is answered like any other, so it goes before the look. ``location`` is that of an upload
    that was opened before, if there is one; a small blob without mounts goes into it."""
    if location and 0 < size <= SMALL and not mounts:
        return Upload(size, attempts, action=SendAll(location, kept=True), location=location)
    upload = Upload(size, attempts, mounts)
    return replace(upload, action=MountBlob(mounts[0])) if mounts else _look(upload)


def _look(upload: Upload) -> Upload:
    """Ask for the blob, unless it is small."""
    if upload.size > SMALL:
        return replace(upload, action=Head())
    return _go_on(upload) if upload.location else replace(upload, action=Start())


def advance(upload: Upload, answer: Answer) -> Upload:
    chunk = replace(upload.chunk, least=answer.smallest or upload.chunk.least)
    upload = replace(upload, pause=Pause(0, answer.retry_after), chunk=chunk)
    match upload.action:
        case Head():
            return _after_head(upload, answer)
        case MountBlob():
            if answer.status == 201:
                return replace(upload, action=Done("mounted"))
            opened = answer.location if answer.status == 202 and answer.location else upload.location
            left = upload.mounts[1:]
            upload = replace(upload, mounts=left, location=opened)
            return replace(upload, action=MountBlob(left[0])) if left else _look(upload)
        case Start():
            if answer.good and answer.location:
                return _go_on(replace(upload, location=answer.location, offset=0))
            return _failed(upload, answer, Start()) if answer.transient else replace(upload, action=GaveUp())
        case Send():
            return _after_send(upload, upload.action, answer)
        case SendAll():
            return _after_all(upload, upload.action, answer)
        case Commit():
            return _after_commit(upload, answer)
        case Ask():
            return _after_ask(upload, answer)
        case Done() | GaveUp():
            return upload
        case _:
            assert_never(upload.action)


def _after_head(upload: Upload, answer: Answer) -> Upload:
    """A registry that does not let us look may still let us push, so only trouble of the moment is tried again."""
    if answer.good:
        return replace(upload, action=Done("moved" if upload.committing else "exists"))
    if answer.transient:
        return _failed(upload, answer, Head())
    if upload.committing:
        return replace(upload, action=Ask(upload.location), committing=False)
    return _go_on(upload) if upload.location else replace(upload, action=Start())


def _after_send(upload: Upload, sent: Send, answer: Answer) -> Upload:
    """Ignore the Range of a good answer: registries count differently, and Commit checks the digest."""
    if answer.good:
        location = answer.location or upload.location
        return _go_on(_reached(replace(upload, location=location), sent.offset + sent.length))
    if answer.transient or answer.status == 416:
        return _failed(upload, answer, Ask(upload.location))
    if answer.status == 413:
        chunk = max(min(LARGEST_CHUNK, sent.length // 2), upload.chunk.least)
        useless = chunk < SMALLEST_CHUNK or chunk >= sent.length
        return replace(upload, action=GaveUp()) if useless else _restart(replace(upload, chunk=replace(upload.chunk, most=chunk)))
    if answer.status in (400, 404, 410):
        return _restart(upload)
    return replace(upload, action=GaveUp())


def _after_all(upload: Upload, sent: SendAll, answer: Answer) -> Upload:
    """A registry that takes no blob this way gets it the other way, once, at once and without counting as a failure; what is wrong
    with the blob comes out there. 202 would be an answer to a PATCH. An upload of long ago may be gone in any way, and is not tried
    twice."""
    if answer.status in (200, 201, 204):
        return replace(upload, action=Done("moved"))
    if sent.kept:
        return replace(upload, action=Start(), location="")
    if answer.transient:
        return _failed(replace(upload, committing=True), answer, Head())
    return replace(upload, action=Start(), location="", chunk=replace(upload.chunk, patches=True))


def _after_commit(upload: Upload, answer: Answer) -> Upload:
    """When the answer is lost the blob may be there; 400 is most often the digest, and once more is enough for that."""
    if answer.good:
        return replace(upload, action=Done("moved"))
    if answer.transient:
        return _failed(replace(upload, committing=True), answer, Head())
    if answer.status in (404, 410, 416) or (answer.status == 400 and not upload.restarts):
        return _restart(upload)
    return replace(upload, action=GaveUp())


def _after_ask(upload: Upload, answer: Answer) -> Upload:
    if answer.good and answer.received is not None and answer.received <= upload.size:
        return _go_on(_reached(replace(upload, location=answer.location or upload.location), answer.received))
    return _failed(upload, answer, Ask(upload.location)) if answer.transient else _restart(upload)


def _reached(upload: Upload, offset: int) -> Upload:
    if offset > upload.best:
        return replace(upload, offset=offset, best=offset, failures=0)
    return replace(upload, offset=offset)


def _go_on(upload: Upload) -> Upload:
    left = upload.size - upload.offset
    if not left:
        return replace(upload, action=Commit(upload.location))
    if upload.size <= WHOLE and not upload.offset and not upload.chunk.patches:
        return replace(upload, action=SendAll(upload.location))
    length = left if upload.chunk.most is None else min(left, upload.chunk.most)
    return replace(upload, action=Send(upload.location, upload.offset, length))


def _failed(upload: Upload, answer: Answer, then: Action) -> Upload:
    failures = upload.failures + 1
    action = GaveUp() if failures >= upload.attempts else then
    return replace(upload, action=action, failures=failures, pause=Pause(failures, answer.retry_after))


def _restart(upload: Upload) -> Upload:
    restarts = upload.restarts + 1
    action = GaveUp() if restarts >= upload.attempts else Start()
    return replace(
        upload,
        action=action,
        restarts=restarts,
        location="",
        offset=0,
        committing=False,
        pause=replace(upload.pause, failures=restarts),
    )
