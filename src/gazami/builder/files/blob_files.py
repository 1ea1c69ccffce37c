"""The bytes of blobs during a build: each is fetched once, however many ask for it.

A blob with one reader is streamed to it and not stored. A blob that may have more is fetched into a file of the workspace at the
registry's own pace, and all its readers follow that file while it grows. No reader waits for another one, so none can wait for
itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from gazami.cancel import Cancel
from gazami.errors import HostError, IntegrityError, NotFoundError, SpaceError
from gazami.image.digest import Digest, verified
from gazami.image.manifest import Descriptor
from gazami.image.model import Layer, LocalFile
from gazami.image.reference import Reference
from gazami.layer.blobs import BlobStore, chunks_of, open_file
from gazami.registry.client import RegistryClient
from gazami.registry.flights import Flights
from gazami.values import fast_dataclass, field
from gazami.worker import Worker

_CHUNK = 1 << 20


class Fetch:
    """A blob on its way into the store, in a thread of its own. Readers come and go; the file appears when it is complete."""

    def __init__(self, store: BlobStore, descriptor: Descriptor, open_blob: Callable[[], Iterator[bytes]]) -> None:
        self._store, self._descriptor, self._open_blob = store, descriptor, open_blob
        self._grown = threading.Condition()
        self._part: Path | None = None
        self._written = 0
        self._ended = False
        self._worker = Worker("fetch", self._run)

    @property
    def has_failed(self) -> bool:
        return self._worker.failure is not None

    def path(self, cancel: Cancel) -> Path:
        """The whole file. Raises what kept it from coming, and :class:`Cancelled`."""
        self._wait(None, cancel)
        return self._worker.result()

    def chunks(self, cancel: Cancel) -> Iterator[bytes]:
        """The bytes as they come. A reader that gets the last of them without an error has verified bytes."""
        self._wait(0, cancel)
        with self._opened() as file:
            done = 0
            while True:
                self._wait(done, cancel)
                data = file.read(_CHUNK)
                if not data:
                    break
                done += len(data)
                yield data
        self._worker.result()

    def _wait(self, done: int | None, cancel: Cancel) -> None:
        """Until there are more than ``done`` bytes, or no more to come."""

        def enough() -> bool:
            return (done is not None and self._written > done) or self._ended or cancel.is_set

        with cancel.on_set(self._wake), self._grown:
            self._grown.wait_for(enough)
        cancel.check()

    def _wake(self) -> None:
        with self._grown:
            self._grown.notify_all()

    def _opened(self) -> BinaryIO:
        if self._part is not None:
            with contextlib.suppress(FileNotFoundError):
                return self._part.open("rb", buffering=0)
        return self._worker.result().open("rb", buffering=0)

    def _run(self) -> Path:
        try:
            with self._store.create() as (file, part), contextlib.closing(self._open_blob()) as chunks:  # type: ignore[type-var]
                self._part = part
                for chunk in chunks:
                    file.write(chunk)
                    with self._grown:
                        self._written += len(chunk)
                        self._grown.notify_all()
                return self._store.commit(part, self._descriptor.digest)
        except OSError as cause:
            kind = SpaceError if cause.errno in (errno.ENOSPC, errno.EDQUOT) else HostError
            text = f"cannot store the blob {self._descriptor.digest}: {cause.strerror}"
            raise kind(text, hint="free some space, or give another --state-dir") from cause
        finally:
            self._ended = True
            self._wake()


@fast_dataclass(slots=True)
class BlobFiles:
    """``local`` are files of blobs that were on this machine before the build (``--cache-dir``), ``once`` the blobs that have one
    reader at most."""

    store: BlobStore
    registry: RegistryClient
    cancel: Cancel
    local: dict[Digest, Path] = field(default_factory=dict)
    once: frozenset[Digest] = frozenset()
    _fetches: Flights[Digest, Fetch] = field(default_factory=Flights)

    def at_hand(self, layer: Layer) -> Path | None:
        """The file of a layer's blob that was here without a fetch: one that this build made, a cache's, a layout's."""
        if isinstance(layer.origin, LocalFile):
            return Path(layer.origin.path)
        return self.local.get(layer.descriptor.digest)

    def chunks(self, layer: Layer, cancel: Cancel | None = None) -> Iterator[bytes]:
        """The compressed bytes, verified, from the nearest source that has them. ``cancel`` ends this reading alone."""
        path = self.at_hand(layer)
        if path is not None:
            yield from _verified_file(path, layer.descriptor)
        elif layer.descriptor.digest in self.once:
            yield from self._stoppable(self._reference(layer), layer.descriptor, cancel)()
        else:
            yield from self._followed(layer, cancel or self.cancel)

    def part(self, layer: Layer, offset: int, length: int) -> bytes:
        """Some bytes of a layer's blob, which nothing has verified. Raises :class:`GazamiError` where they are not to be had."""
        path = self.at_hand(layer)
        if path is None:
            return self.registry.read_part(self._reference(layer), layer.descriptor, offset, length)
        try:
            with open_file(path) as file:
                return os.pread(file.fileno(), length, offset)
        except OSError as cause:
            raise HostError(f"cannot read {path}: {cause.strerror}") from cause

    def path(self, layer: Layer, cancel: Cancel | None = None) -> Path:
        """The blob as a file, fetched if need be."""
        path = self.at_hand(layer)
        return path if path is not None else self._attempt(layer).path(cancel or self.cancel)

    def _followed(self, layer: Layer, cancel: Cancel) -> Iterator[bytes]:
        """From the file that all readers share; where there is no room for it, from the registry again."""
        done = 0
        try:
            for chunk in self._attempt(layer).chunks(cancel):
                done += len(chunk)
                yield chunk
            return
        except HostError:  # the disk is full
            pass
        for chunk in self.registry.open_blob(self._reference(layer), layer.descriptor):
            if done < len(chunk):
                yield chunk[done:]
            done = max(0, done - len(chunk))

    def _attempt(self, layer: Layer) -> Fetch:
        """The fetch of a blob, begun now if there is none, or none that went well."""
        digest, reference = layer.descriptor.digest, self._reference(layer)

        def begin() -> Fetch:
            return Fetch(self.store, layer.descriptor, self._stoppable(reference, layer.descriptor))

        fetch = self._fetches.get(digest, begin)
        if fetch.has_failed:
            self._fetches.forget(digest, fetch)
            fetch = self._fetches.get(digest, begin)
        return fetch

    def _stoppable(
        self, reference: Reference, descriptor: Descriptor, cancel: Cancel | None = None
    ) -> Callable[[], Iterator[bytes]]:
        """A download that ends with the stages, or with ``cancel`` of its one reader."""

        def chunks() -> Iterator[bytes]:
            with self.registry.transport.obeying(cancel or self.cancel):
                yield from self.registry.open_blob(reference, descriptor)

        return chunks

    def _reference(self, layer: Layer) -> Reference:
        assert not isinstance(layer.origin, LocalFile)
        return layer.origin.reference


def _verified_file(path: Path, descriptor: Descriptor) -> Iterator[bytes]:
    def damaged(what: str) -> IntegrityError:
        return IntegrityError(f"the stored blob {descriptor.digest} in {path} is damaged: {what}")

    try:
        yield from verified(chunks_of(path), descriptor.digest, descriptor.size, damaged)
    except FileNotFoundError as cause:
        raise NotFoundError(f"the stored blob {descriptor.digest} is missing from {path}") from cause
    except OSError as cause:
        raise damaged(str(cause.strerror)) from cause
