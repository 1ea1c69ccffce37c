"""Blob files named by their digest, in a folder that this process owns."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from gazami.image.digest import Digest
from gazami.layer.output_file import own_directory


def blob_path(folder: Path, digest: str) -> Path:
    """Where a folder of blobs has one: ``<algorithm>/<hex>`` (OCI image-layout.md)."""
    algorithm, _, encoded = digest.partition(":")
    return folder / algorithm / encoded


def open_file(path: Path) -> io.FileIO:
    """A file of a folder that others write to. Raises :class:`OSError` also for what is no file: nobody may ever write to a
    FIFO, and a link to a device may have no end."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return io.FileIO(fd)


def chunks_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file, 1 MiB at a time. Raises as :func:`open_file` does."""
    with open_file(path) as file:
        while chunk := file.read(1 << 20):
            yield chunk


class _Whole(io.FileIO):
    """A file without a buffer that writes all it is given: on a disk that fills up, ``write(2)`` may take a part and say so."""

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        while view:
            view = view[super().write(view) or 0 :]
        return len(data)


class BlobStore:
    """A folder ``<algorithm>/<hex>`` as in an OCI layout, no part of it a symlink. Files appear whole, by rename."""

    def __init__(self, root: Path) -> None:
        self.root = root
        own_directory(own_directory(root) / "sha256")

    def path(self, digest: Digest) -> Path:
        return blob_path(self.root, digest)

    def has(self, digest: Digest) -> bool:
        return self.path(digest).exists()

    @contextlib.contextmanager
    def create(self) -> Iterator[tuple[BinaryIO, Path]]:
        """A new temporary file in the store; it is removed unless :meth:`commit` takes it."""
        path = self.root / f".part-{os.urandom(8).hex()}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with _Whole(fd, "wb") as file:
                yield file, path
        finally:
            path.unlink(missing_ok=True)

    def commit(self, temporary: Path, digest: Digest) -> Path:
        """Give a complete temporary file its digest's name."""
        final = self.path(digest)
        own_directory(final.parent)
        temporary.chmod(0o644)
        temporary.replace(final)
        return final

    def put(self, digest: Digest, data: bytes) -> Path:
        """Store bytes that are in memory already (a config)."""
        with self.create() as (file, path):
            file.write(data)
            return self.commit(path, digest)
