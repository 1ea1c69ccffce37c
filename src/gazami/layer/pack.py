"""One pass from tar bytes to a layer: diff id, compression, digest and blob file together (idea 4 of the design).

Two threads share the work: the caller's reads and hashes the tar, the other compresses, hashes and writes the blob. The queue
between them holds at most :data:`QUEUE` chunks, so memory is bounded for layers of any size.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import queue
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from gazami.errors import HostError, SpaceError
from gazami.image.digest import Digest
from gazami.image.manifest import DOCKER_LAYER_GZIP, DOCKER_LAYER_ZSTD, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, Descriptor
from gazami.image.model import Layer, LocalFile
from gazami.layer.blobs import BlobStore
from gazami.layer.compression import Compressor, compressor
from gazami.values import fast_dataclass
from gazami.worker import Worker

QUEUE = 8

_TYPES = {
    (True, "gzip"): OCI_LAYER_GZIP,
    (True, "zstd"): OCI_LAYER_ZSTD,
    (False, "gzip"): DOCKER_LAYER_GZIP,
    (False, "zstd"): DOCKER_LAYER_ZSTD,
}


@fast_dataclass(frozen=True, slots=True)
class Packing:
    """How layers are compressed and which vendor's media types they get."""

    compression: Literal["gzip", "zstd"] = "gzip"
    level: int | None = None
    oci: bool = False

    @property
    def media_type(self) -> str:
        return _TYPES[self.oci, self.compression]


class LayerWriter:
    """Takes a tar stream chunk by chunk and becomes a layer. Made by :func:`layer_writer`. ``path`` is the blob's file, which
    grows meanwhile."""

    def __init__(self, blobs: BlobStore, packing: Packing, file: BinaryIO, path: Path) -> None:
        self._blobs, self._packing, self.path = blobs, packing, path
        self._worker = _Compress(file.fileno(), packing)
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Raises :class:`SpaceError` when the blob store is full."""
        self._hash.update(chunk)
        self._worker.put(chunk)
        self.size += len(chunk)

    def finish(self) -> Layer:
        """The layer, its blob stored under its digest."""
        digest, size = self._worker.finish()
        final = self._blobs.commit(self.path, digest)
        diff_id = Digest("sha256:" + self._hash.hexdigest())
        return Layer(Descriptor(self._packing.media_type, digest, size), diff_id, LocalFile(str(final), made_here=True))

    def abandon(self) -> None:
        self._worker.abandon()


@contextlib.contextmanager
def layer_writer(blobs: BlobStore, packing: Packing) -> Iterator[LayerWriter]:
    """A writer whose temporary file goes away unless it was finished."""
    with blobs.create() as (file, path):
        writer = LayerWriter(blobs, packing, file, path)
        try:
            yield writer
        except BaseException:
            writer.abandon()
            raise


def pack_layer(chunks: Iterable[bytes], blobs: BlobStore, packing: Packing) -> Layer:
    """Store a tar stream as a layer's blob. Raises :class:`SpaceError`; nothing half-written stays behind."""
    with layer_writer(blobs, packing) as writer:
        for chunk in chunks:
            writer.write(chunk)
        return writer.finish()


class _Compress:
    """The thread that compresses, hashes and writes. It takes chunks until the end, even after a failure, so that the caller never
    waits for a thread that is gone."""

    def __init__(self, fd: int, packing: Packing) -> None:
        self._fd = fd
        self._compressor = _made(packing)
        self._queue: queue.Queue[bytes | None] = queue.Queue(QUEUE)
        self._hash = hashlib.sha256()
        self._size = 0
        self._abandoned = False
        self._failed = False
        self._ended = False
        self._worker = Worker("compress", self._run)

    def put(self, chunk: bytes) -> None:
        if self._failed:
            self.finish()
        self._queue.put(chunk)

    def finish(self) -> tuple[Digest, int]:
        """Digest and size of what was written. Raises what kept the thread from writing all of it."""
        self._end()
        try:
            self._worker.result()
        except OSError as cause:
            raise _host_error(cause) from cause
        return Digest("sha256:" + self._hash.hexdigest()), self._size

    def abandon(self) -> None:
        self._abandoned = True
        self._end()
        self._worker.join()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._queue.put(None)

    def _run(self) -> None:
        chunks = iter(self._queue.get, None)
        try:
            for chunk in chunks:
                if not self._abandoned and (data := self._compressor.compress(chunk)):
                    self._store(data)
            if not self._abandoned:
                self._store(self._compressor.flush())
        except BaseException:
            self._failed = True
            for _ in chunks:  # up to the end, if that was not seen yet
                pass
            raise

    def _store(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]


def _made(packing: Packing) -> Compressor:
    try:
        return compressor(packing.compression, packing.level)
    except ImportError as cause:
        raise HostError(
            f"cannot compress layers with {packing.compression}: {cause}", hint="choose another --compression"
        ) from cause


def _host_error(cause: OSError) -> HostError:
    if cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return SpaceError("no space left to write a layer", hint="choose a larger --state-dir, or free some space")
    return HostError(f"cannot write a layer's blob: {cause.strerror}")
