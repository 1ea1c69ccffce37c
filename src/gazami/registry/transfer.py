"""Uploads in the background: layers leave while the next step runs.

Each blob goes to each repository once, however many ask for it. The first error stops the others at their next chunk and is raised
by :meth:`Uploads.wait`; the build as a whole is not cancelled by it, so that the caller may try again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor
    from pathlib import Path
    from types import TracebackType

    from gazami.image.digest import Digest
    from gazami.image.manifest import Descriptor
    from gazami.image.reference import Reference
    from gazami.registry.client import RegistryClient
    from gazami.registry.stream import GrowingUpload
    from gazami.registry.upload import How

THREADS = 32
"""Blobs looked after at the same time. Of these, :data:`gazami.registry.transport.SENDING` send bytes."""


class Uploads:
    """A context manager: leaving it stops what is still under way, so call :meth:`wait` before."""

    def __init__(self, client: RegistryClient, threads: int = THREADS) -> None:
        self._client = client
        self.stop = client.transport.cancel.part()
        """Set by the first upload that fails, and at the end."""
        self._lock = threading.Lock()
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._blobs: dict[tuple[str, str, Digest], Future[How]] = {}
        self._growing: list[GrowingUpload] = []
        self._error: BaseException | None = None

    def submit(
        self,
        reference: Reference,
        descriptor: Descriptor,
        open_file: Callable[[], BinaryIO],
        mount_from: tuple[Reference, ...] = (),
        *,
        opened: bool = False,
    ) -> Future[How]:
        """Upload a blob as :meth:`RegistryClient.push_blob` does; the file has to stay until it is done."""

        def push() -> How:
            return self._client.push_blob(reference, descriptor, open_file, mount_from, stop=self.stop, opened=opened)

        return self._once(reference, descriptor.digest, push)

    def follow(self, reference: Reference, path: Path) -> GrowingUpload:
        """Begin to upload a blob whose file still grows. :meth:`submit_followed` completes the upload; what is not completed
        is abandoned at the end."""
        growing = self._client.follow_blob(reference, path)
        with self._lock:
            self._growing.append(growing)
        return growing

    def submit_followed(
        self, reference: Reference, descriptor: Descriptor, open_file: Callable[[], BinaryIO], growing: GrowingUpload
    ) -> Future[How]:
        """As :meth:`submit` for a blob whose upload began while it was written; if that failed, it is uploaded again."""

        def finish() -> How:
            if growing.complete(descriptor):
                return "moved"
            return self._client.push_blob(reference, descriptor, open_file, stop=self.stop)

        return self._once(reference, descriptor.digest, finish, growing.abandon)

    def submit_copy(
        self,
        source: Reference,
        destination: Reference,
        descriptor: Descriptor,
        open_bytes: Callable[[], Iterator[bytes]] | None = None,
    ) -> Future[How]:
        """Copy a blob from another repository as :meth:`RegistryClient.copy_blob` does. ``open_bytes`` gives its bytes if that
        repository cannot."""

        def copy() -> How:
            return self._client.copy_blob(source, destination, descriptor, open_bytes, stop=self.stop)

        return self._once(destination, descriptor.digest, copy)

    def wait_for(self, reference: Reference, digest: Digest) -> bool:
        """Wait until one blob's upload to a repository is over; whether it was asked for and is there."""
        with self._lock:
            blob = self._blobs.get((reference.registry, reference.repository, digest))
        return blob is not None and blob.exception() is None

    def wait(self) -> None:
        """Return once everything submitted so far is done. Raises the first error that there was."""
        with self._lock:
            blobs = list(self._blobs.values())
        for blob in blobs:
            blob.exception()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Uploads:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop.set("the upload was cancelled")
        for growing in self._growing:
            growing.give_up()
        if self._pool is not None:
            self._pool.shutdown()
        for growing in self._growing:
            growing.abandon()

    def _once(
        self, reference: Reference, digest: Digest, work: Callable[[], How], not_needed: Callable[[], None] | None = None
    ) -> Future[How]:
        key = (reference.registry, reference.repository, digest)
        with self._lock:
            blob = self._blobs.get(key)
            if blob is None:
                if self._pool is None:
                    from concurrent.futures import ThreadPoolExecutor

                    self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="upload")
                blob = self._blobs[key] = self._pool.submit(self._run, work)
                not_needed = None
        if not_needed is not None:
            not_needed()
        return blob

    def _run(self, work: Callable[[], How]) -> How:
        try:
            self.stop.check()
            with self._client.transport.obeying(self.stop):
                return work()
        except BaseException as error:
            with self._lock:
                if self._error is None:
                    self._error = error
                growing = list(self._growing)
            self.stop.set("another upload failed")
            for each in growing:
                each.give_up()
            raise
