"""Entries in one OCI layout on disk (``--cache-repo oci:DIR``), shared by builds at the same time.

The layout is changed under a lock. When an entry hits, the time of its blobs is renewed, which is what pruning by last use reads.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from gazami.cache.entry import CONFIG, EMPTY, CacheEntry, decode_entry, encode_entry
from gazami.cache.store import Blob, Listed
from gazami.cancel import Cancel
from gazami.errors import ArchiveError, ContextError, GazamiError, HostError, IntegrityError, NotFoundError, RegistryError
from gazami.file_locks import locked
from gazami.image.manifest import Descriptor, Manifest
from gazami.image.model import LocalFile, Origin
from gazami.layer.oci_layout import NewBlob, OciLayout, blob_data, blob_of

_CHUNK = 1 << 20


class DirectoryStore:
    """``folder`` is made when something is stored. Raises :class:`HostError` where the disk says no."""

    def __init__(self, folder: Path, cancel: Cancel | None = None, *, links: bool = False) -> None:
        """``cancel`` ends a wait for another process that changes the directory. ``links``: files of blobs are this user's own and
        do not change any more, so that the directory may have them by another name instead of a copy."""
        self._folder = folder
        self._links = links
        self._cancel = cancel or Cancel()
        self._layout = OciLayout(folder, is_shared=True, cancel=self._cancel)
        self._lock = threading.Lock()
        self._known: dict[str, str] | None = None

    @property
    def name(self) -> str:
        return f"oci:{self._folder}"

    @property
    def folder(self) -> Path:
        return self._folder

    def of(self, tag: str) -> DirectoryStore:
        return self

    def get(self, tag: str, *, anew: bool = False) -> CacheEntry | None:
        with self._lock:
            if self._known is None or anew:
                self._known = self._digests()
            digest = self._known.get(tag)
        if digest is None:
            return None
        try:
            manifest = self._layout.manifest(digest)
        except NotFoundError:
            return None
        except (ArchiveError, ContextError, RegistryError) as error:
            raise IntegrityError(f"the entry {tag} is damaged: {error.message}") from error
        if not isinstance(manifest, Manifest):
            raise IntegrityError(f"the entry {tag} is damaged: it is an index")
        paths = [self._layout.path(each) for each in (digest, *(layer.digest for layer in manifest.layers))]
        if not all(path.exists() for path in paths):
            return None
        for path in paths:
            with contextlib.suppress(OSError):
                os.utime(path)
        return decode_entry(manifest)

    def origin(self, descriptor: Descriptor) -> Origin:
        return LocalFile(str(self._layout.path(descriptor.digest)))

    def put(self, tags: tuple[str, ...], entry: CacheEntry, blobs: tuple[Blob, ...]) -> None:
        """Store the blobs, and store again under the lock of pruning those that another process has pruned meanwhile."""
        manifest = encode_entry(entry)
        new = (*map(_new, blobs), blob_data(CONFIG, EMPTY), blob_of(manifest))
        linked = {descriptor.digest for descriptor, _, origin in blobs if self._links and self._link(descriptor, origin)}
        self._layout.store(each for each in new if each[0].digest not in linked)

        def add() -> None:
            self._layout.store(new, reads_again=False)
            self._layout.add(manifest, tags)

        self._change(add)

    def _link(self, descriptor: Descriptor, origin: Origin) -> bool:
        """Give the file of a blob its name in the directory, where that has none yet and both are on one file system."""
        if not isinstance(origin, LocalFile) or not origin.path:
            return False
        path = self._layout.path(descriptor.digest)
        try:
            info = os.lstat(origin.path)
            if not stat.S_ISREG(info.st_mode) or info.st_size != descriptor.size or info.st_uid != os.geteuid():
                return False
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(origin.path, path, follow_symlinks=False)
        except OSError:
            return False
        return True

    def read(self, descriptor: Descriptor, limit: int) -> bytes:
        return self._layout.blob(descriptor.digest, limit)

    def entries(self) -> Iterator[Listed]:
        for tag, digest in sorted(self._digests().items()):
            try:
                manifest = self._layout.manifest(digest)
                used = datetime.fromtimestamp(self._layout.path(digest).stat().st_mtime, UTC)
                if isinstance(manifest, Manifest):
                    yield Listed(tag, decode_entry(manifest), used)
            except (OSError, GazamiError):
                continue

    def remove(self, *tags: str) -> None:
        """Forget tags; blobs that no other entry names go with them. One pass over the directory, however many there are."""

        def forget() -> None:
            self._layout.forget(tags)
            self._layout.collect()

        self._change(forget)

    def _digests(self) -> dict[str, str]:
        """The manifests by tag; none where there is no layout yet."""
        return {each.name: each.digest for each in self._layout.entries()} if self._layout.exists else {}

    def _change(self, change: Callable[[], None]) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._lock, locked((str(self._folder / ".lock"),), self._cancel):
                change()
                self._known = self._digests()
        except OSError as cause:
            raise HostError(f"cannot write {self.name}: {cause.strerror}") from cause


def _new(blob: Blob) -> NewBlob:
    descriptor, open_file, _ = blob

    def chunks() -> Iterator[bytes]:
        with open_file() as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    return descriptor, chunks
