"""The registry client: what a build asks of registries, by reference.

Resolving reads manifests and configs only; blobs are streamed. One client serves a whole build and all its threads:
connections, tokens and manifests are kept, and nothing is asked twice. Every build has a client, and many ask nothing: what
speaks the protocol is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from gazami.errors import IntegrityError, NotFoundError, RegistryError
from gazami.events import Emit, Message
from gazami.image.config import parse_config
from gazami.image.digest import Digest, digest_of
from gazami.image.manifest import MAX_MANIFEST, Descriptor, Index, Manifest
from gazami.registry.flights import Flights
from gazami.registry.origins import Origins
from gazami.registry.progress import Progress
from gazami.registry.resolved import NESTING, Resolved, check_is_image, check_layers, choose
from gazami.registry.sessions import Sessions
from gazami.registry.transport import Transport
from gazami.values import replace

if TYPE_CHECKING:
    from gazami.cancel import Cancel
    from gazami.image.platform import Platform
    from gazami.image.reference import Reference
    from gazami.registry.credentials import Keychain
    from gazami.registry.options import Direction, RegistryOptions
    from gazami.registry.push import Bytes, PushChecks
    from gazami.registry.session import Call, Session
    from gazami.registry.stream import GrowingUpload
    from gazami.registry.upload import How

MAX_CONFIG = 8 * 1024 * 1024
"""Bytes; a larger image config is refused."""

_PUSHING = "error pushing image"
_UNKNOWN = "BLOB_UNKNOWN"
"""Part of the codes MANIFEST_BLOB_UNKNOWN and BLOB_UNKNOWN (distribution spec, error codes)."""

_IMMUTABLE = "immutab"
"""In what registries say of a tag that may not be moved: Amazon ECR (in two wordings), Google, Harbor, Quay, Artifactory."""

_PAGE = 1000
_MOST_TAGS = 1_000_000


class RegistryClient:
    """A context manager; closing it closes the connections."""

    def __init__(
        self, options: RegistryOptions, keychain: Keychain, emit: Emit, cancel: Cancel, *, transport: Transport | None = None
    ) -> None:
        """``transport`` is one to share with those who look for credentials; it is closed with the client."""
        self._options = options
        self.keychain = keychain
        self._emit = emit
        self._cancel = cancel
        self._transport = transport or Transport(options, emit, cancel)
        self._sessions = Sessions(options, keychain, self._transport)
        self._origins = Origins(options, self._sessions.pull, emit)
        self._manifests: Flights[Reference, Manifest | Index] = Flights()
        self._resolved: Flights[tuple[Reference, Platform], Resolved] = Flights()
        self._opened: dict[str, str] = {}

    @property
    def transport(self) -> Transport:
        """The connections, to fetch other files than images."""
        return self._transport

    def get_manifest(self, reference: Reference, *, anew: bool = False) -> Manifest | Index:
        """The manifest or index, asked for once in the client's life; ``anew``: once more.

        Raises :class:`NotFoundError`, :class:`IntegrityError` (a digest is wrong), :class:`AuthenticationError`,
        :class:`TransportError`, or :class:`RegistryError` when it is malformed or larger than ``MAX_MANIFEST``.
        """
        if anew:
            self._manifests.forget(reference)
        return self._manifests.get(reference, lambda: self._get_manifest(reference), self._transport.cancel)

    def session(self, reference: Reference, direction: Direction) -> Session:
        """The conversation with the reference's registry, for questions of its own (``registry.sessions``)."""
        return self._sessions.of(reference, direction)

    def head_manifest(self, reference: Reference) -> Descriptor | None:
        """Type, digest and size of what the reference names at this moment, or None when there is nothing."""
        from gazami.registry.manifests import head_manifest

        try:
            found = self._origins.first(reference, lambda origin: head_manifest(origin, reference))
            if found is not None:
                return found
            manifest = self._get_manifest(reference)
        except NotFoundError:
            return None
        return Descriptor(manifest.media_type, manifest.digest, len(manifest.raw))

    def resolve(self, reference: Reference, platform: Platform) -> Resolved:
        """The image for ``platform``, with its config; errors as for :meth:`get_manifest`.

        Raises :class:`NotFoundError` listing the platforms when there is none for it, and :class:`RegistryError` when
        the reference names an artifact that is not an image.
        """
        work = lambda: self._resolve(reference, platform)  # noqa: E731
        return self._resolved.get((reference, platform), work, self._transport.cancel)

    def open_blob(self, reference: Reference, descriptor: Descriptor) -> Iterator[bytes]:
        """The blob in chunks of at most 1 MiB, resumed after cuts; errors as ``pull.download`` says.

        The last chunk is followed by the check of the digest: the bytes are good once the iteration has ended.
        """
        with Progress(self._emit, "pull", reference, descriptor) as progress:
            yield from self._download(reference, descriptor, progress.reached)
            progress.finish("moved")

    def read_blob(self, reference: Reference, descriptor: Descriptor, limit: int = MAX_CONFIG) -> bytes:
        """The whole blob. Raises :class:`RegistryError` when it is larger than ``limit`` bytes."""
        if descriptor.size > limit:
            raise RegistryError(
                f"blob {descriptor.digest} of {reference.context} has {descriptor.size} bytes, over the limit of {limit}"
            )
        return b"".join(self._download(reference, descriptor, lambda _: None))

    def read_part(self, reference: Reference, descriptor: Descriptor, offset: int, length: int) -> bytes:
        """Some bytes of a blob; the caller verifies them. Raises :class:`RegistryError` where there are none to be had."""
        from gazami.registry.pull import read_part

        return self._origins.first(reference, lambda origin: read_part(origin, descriptor, offset, length))

    def list_tags(self, reference: Reference) -> tuple[str, ...]:
        """All tags of the repository, page by page; none when the registry does not know the repository."""
        from gazami.registry.manifests import call_of, tags_of
        from gazami.registry.redirects import joined
        from gazami.registry.wire import next_link

        session = self._sessions.of(reference, "pull")
        target: str | None = f"/v2/{reference.repository}/tags/list?n={_PAGE}"
        found: dict[str, None] = {}
        while target is not None:
            call = replace(call_of("GET", "", reference, "pull"), target=target)
            with session.fetch(call, MAX_MANIFEST) as response:
                if response.status == 404:
                    break
                if response.status != 200:
                    raise session.refusal(response, f"list the tags of {reference.context}", call)
                page = tags_of(response.body)
                link = next_link(response.header("Link"))
                target = joined(response.url, link) if link and not found.keys() >= set(page) else None
            found.update(dict.fromkeys(page))
            if len(found) > _MOST_TAGS:
                raise RegistryError(f"{reference.context} lists more than {_MOST_TAGS} tags")
        return tuple(found)

    def push_blob(
        self,
        reference: Reference,
        descriptor: Descriptor,
        open_file: Callable[[], BinaryIO],
        mount_from: tuple[Reference, ...] = (),
        *,
        stop: Cancel | None = None,
        opened: bool = False,
    ) -> How:
        """Make the repository have the blob: found there, mounted from another of its registry, or uploaded.

        ``open_file`` is called for each attempt. ``stop`` ends this push alone. ``opened``: go on with the upload that
        :meth:`PushChecks.check` has kept, if there is one. Raises :class:`AuthenticationError`,
        :class:`TransportError`, :class:`RegistryError`, :class:`HostError` when the file cannot be read.
        """
        from gazami.registry.push import from_file
        from gazami.registry.upload import SMALL

        location = self.checks.take(reference) if opened and descriptor.size <= SMALL else ""
        return self._push(reference, descriptor, from_file(open_file), mount_from, stop, location)

    def follow_blob(self, reference: Reference, path: Path) -> GrowingUpload:
        """Begin to upload a blob whose file is still being written. See ``registry.stream``."""
        from gazami.registry.stream import GrowingUpload

        session = self._sessions.of(reference, "push")
        return GrowingUpload(session, reference.repository, path, 3 * self._options.read_timeout)

    def copy_blob(
        self,
        source: Reference,
        destination: Reference,
        descriptor: Descriptor,
        open_bytes: Callable[[], Iterator[bytes]] | None = None,
        *,
        stop: Cancel | None = None,
    ) -> How:
        """As :meth:`push_blob` for a blob of another repository, which is streamed through without being stored, or taken from
        ``open_bytes``."""
        from gazami.registry.push import from_start

        blob = from_start(open_bytes or (lambda: self.open_blob(source, descriptor)))
        return self._push(destination, descriptor, blob, (source,), stop)

    def push_manifest(self, reference: Reference, raw: bytes, media_type: str) -> Digest:
        """Store a manifest or index under the reference's tag, or under its digest when it has no tag.

        The repository must have everything that it refers to. Raises :class:`IntegrityError` when the registry says that it stored
        something else.
        """
        from gazami.registry.manifests import call_of
        from gazami.registry.push import named

        digest = digest_of(raw)
        target = f"/v2/{reference.repository}/manifests/{reference.tag or digest}"
        headers = (("Content-Type", media_type),)
        call = replace(call_of("PUT", "", reference, "push"), target=target, headers=headers, body=raw)
        self._manifests.forget(reference)
        try:
            with named(_PUSHING):
                self._put_manifest(reference, call, digest)
        except RegistryError as error:
            if not _says_immutable(error, reference):
                raise
            if not self._options.ignore_immutable_tags:
                error.hint = (
                    "choose another tag; --push-ignore-immutable-tag-errors, or --if-exists=skip, is content with the old one"
                )
                raise
            text = f"{reference} was not pushed: the tag exists and is immutable (--push-ignore-immutable-tag-errors)"
            self._emit(Message("warning", text))
        return digest

    def _put_manifest(self, reference: Reference, call: Call, digest: Digest) -> None:
        """A registry may need a moment until it knows the blobs that it has just taken."""
        session = self._sessions.of(reference, "push")
        failures = 0
        while True:
            with session.send(call) as response:
                if response.status in (200, 201, 202, 204):
                    stored = response.header("Docker-Content-Digest")
                    break
                error = session.refusal(response, f"push the manifest of {reference}", call)
            failures += 1
            pause = self._transport.pause(failures) if _UNKNOWN in error.message else None
            if pause is None:
                raise error
            self._emit(Message("info", f"{error.message}; trying again in {pause:.1f} s"))
            self._transport.wait(pause)
        if stored and stored.startswith("sha256:") and stored != digest:
            raise IntegrityError(f"{reference} was pushed with the digest {digest}, but the registry stored {stored}")

    def delete_manifest(self, reference: Reference) -> None:
        """Delete what a tag names. Raises :class:`RegistryError` where the registry does not allow deletions."""
        from gazami.registry.manifests import call_of

        found = self.head_manifest(reference)
        if found is None:
            return
        call = replace(
            call_of("DELETE", f"manifests/{found.digest}", reference, "push"),
            scopes=(f"repository:{reference.repository}:delete,pull",),
        )
        session = self._sessions.of(reference, "push")
        with session.send(call) as response:
            if response.status not in (200, 202, 204, 404):
                raise session.refusal(response, f"delete {reference}", call)
        self._manifests.forget(reference)

    @property
    def checks(self) -> PushChecks:
        """Whether registries take pushes."""
        from gazami.registry.push import PushChecks

        return PushChecks(self._sessions, self._opened)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def for_cache(self) -> RegistryClient:
        """A client for the layer cache, which no mirror stands in for and which follows the options for pushes
        (``--insecure``) when it is read too, as in kaniko. It shares the connections."""
        trust = self._options.trust
        trust = replace(trust, insecure_pull=trust.insecure_pull or trust.insecure)
        options = replace(self._options, mirrors=(), trust=trust)
        return RegistryClient(options, self.keychain, self._emit, self._cancel, transport=self._transport)

    def _download(self, reference: Reference, descriptor: Descriptor, reached: Callable[[int], None]) -> Iterator[bytes]:
        from gazami.registry.pull import download

        candidates = self._origins.of(reference)
        by_origin = {id(each.origin): each for each in candidates}
        return download(
            [each.origin for each in candidates],
            descriptor,
            reached,
            lambda origin, error: self._origins.failed(reference, by_origin[id(origin)], error),
        )

    def _get_manifest(self, reference: Reference) -> Manifest | Index:
        from gazami.registry.manifests import get_manifest

        return self._origins.first(reference, lambda origin: get_manifest(origin, reference))

    def _resolve(self, reference: Reference, platform: Platform) -> Resolved:
        try:
            found = self.get_manifest(reference)
        except NotFoundError as error:
            from gazami.registry.manifests import explain_missing

            explain_missing(error, reference, self._sessions.of(reference, "pull"))
            raise
        index_digest: Digest | None = None
        for _ in range(NESTING):
            if isinstance(found, Manifest):
                break
            index_digest = index_digest or found.digest
            entry = choose(reference, found, platform)
            found = self.get_manifest(reference.with_digest(entry.digest))
        if not isinstance(found, Manifest):
            raise RegistryError(f"{reference} is an index of indexes, more than {NESTING} deep")
        check_is_image(reference, found)
        raw = self.read_blob(reference, found.config)
        config = parse_config(raw)
        check_layers(reference, found, config)
        return Resolved(reference, found, found.digest, index_digest, config, raw)

    def _push(
        self,
        reference: Reference,
        descriptor: Descriptor,
        blob: Bytes,
        mount_from: tuple[Reference, ...],
        stop: Cancel | None,
        location: str = "",
    ) -> How:
        from gazami.registry.push import Push, named

        mounts = dict.fromkeys(
            each.repository
            for each in mount_from
            if each.registry == reference.registry and each.repository != reference.repository
        )
        with (
            self._transport.obeying(stop or self._cancel),
            named(_PUSHING),
            Progress(self._emit, "push", reference, descriptor) as progress,
        ):
            push = Push(
                self._sessions.of(reference, "push"),
                reference.repository,
                descriptor,
                blob,
                reached=progress.reached,
                check=self._transport.cancel.check,
                commit_timeout=3 * self._options.read_timeout,
            )
            how = push.run(tuple(mounts), self._options.retry.attempts, location)
            progress.finish(how)
        return how


def _says_immutable(error: RegistryError, reference: Reference) -> bool:
    """Whether a registry refuses to move a tag. Its own words count, and no name that they repeat."""
    said = error.message.partition(": status ")[2]
    for name in (reference.repository, reference.tag or ""):
        said = said.replace(name, "") if name else said
    return _IMMUTABLE in said.lower()
