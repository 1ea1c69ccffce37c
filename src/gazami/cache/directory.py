"""Entries in one OCI layout on disk (``--cache-repo oci:DIR``), shared by builds at the same time.

Blobs appear by rename; ``index.json`` is replaced as a whole under a lock. When an entry hits, its blob's time is renewed,
which is what pruning by last use reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gazami.cache.entry import CONFIG, EMPTY, Entry, decode_entry, encode_entry
from gazami.cache.store import Blob, Listed
from gazami.cancel import Cancel
from gazami.errors import HostError, NotFoundError, RegistryError
from gazami.file_locks import locked
from gazami.foreign import read_json
from gazami.image.digest import Digest, hasher_for, hex_of, matches
from gazami.image.manifest import Descriptor, Manifest, parse_manifest
from gazami.image.model import LocalFile, Origin
from gazami.layer.blobs import BlobStore
from gazami.layer.output_file import write_output

_REF = "org.opencontainers.image.ref.name"
_CHUNK = 1 << 20


class DirectoryStore:
    """``folder`` is made when something is stored. Raises :class:`HostError` where the disk says no."""

    def __init__(self, folder: Path, cancel: Cancel | None = None) -> None:
        """``cancel`` ends a wait for another process that changes the directory."""
        self._folder = folder
        self._cancel = cancel or Cancel()
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, Any]] | None = None

    @property
    def name(self) -> str:
        return f"oci:{self._folder}"

    def get(self, tag: str) -> Entry | None:
        with self._lock:
            if self._known is None:
                self._known = self._read_index()
            descriptor = self._known.get(tag)
        if descriptor is None:
            return None
        digest = str(descriptor.get("digest"))
        path = self._path(digest)
        try:
            raw = path.read_bytes()
            if not matches(raw, digest):
                raise RegistryError(f"the entry {tag} of {self.name} is damaged")
            manifest = parse_manifest(raw)
            if not isinstance(manifest, Manifest):
                raise RegistryError(f"the entry {tag} of {self.name} is an index")
            if any(not self._path(each.digest).exists() for each in manifest.layers):
                return None
            for each in (digest, *(layer.digest for layer in manifest.layers)):
                with contextlib.suppress(OSError):
                    os.utime(self._path(each))
        except FileNotFoundError:
            return None
        except OSError as cause:
            raise HostError(f"{self.name} cannot be read: {cause.strerror}") from cause
        return decode_entry(manifest)

    def origin(self, descriptor: Descriptor) -> Origin:
        return LocalFile(str(self._path(descriptor.digest)))

    def put(self, tags: tuple[str, ...], entry: Entry, blobs: tuple[Blob, ...]) -> None:
        """What another process prunes between the blobs and the index is stored again: under the lock that it prunes under."""
        manifest = encode_entry(entry)
        document = manifest.descriptor().encode()
        self._discard_damaged(blobs)
        self._store(blobs, manifest)

        def name(known: dict[str, dict[str, Any]]) -> None:
            self._store(blobs, manifest)
            known.update({tag: {**document, "annotations": {_REF: tag}} for tag in tags})

        self._change(name)

    def _discard_damaged(self, blobs: tuple[Blob, ...]) -> None:
        """Remove blobs that are not what they are called, so that what is built again in their place is kept."""
        for descriptor, _, _ in blobs:
            path, digest = self._path(descriptor.digest), hasher_for(descriptor.digest)
            with contextlib.suppress(OSError):
                with path.open("rb") as file:
                    while chunk := file.read(_CHUNK):
                        self._cancel.check()
                        digest.update(chunk)
                if digest.hexdigest() != hex_of(descriptor.digest):
                    path.unlink()

    def _store(self, blobs: tuple[Blob, ...], manifest: Manifest) -> None:
        """Store what is not there. Blobs are new as long as they have no entry: pruning goes by the index alone."""
        try:
            store = BlobStore(self._folder / "blobs")
            for descriptor, open_file, _ in blobs:
                if not store.has(descriptor.digest):
                    with open_file() as source, store.create() as (file, part):
                        while chunk := source.read(_CHUNK):
                            self._cancel.check()
                            file.write(chunk)
                        store.commit(part, descriptor.digest)
            for digest, data in ((CONFIG.digest, EMPTY), (manifest.digest, manifest.raw)):
                if not store.has(digest):
                    store.put(digest, data)
        except OSError as cause:
            raise HostError(f"{self.name} cannot be written: {cause.strerror}") from cause

    def read(self, descriptor: Descriptor, limit: int) -> bytes:
        try:
            data = self._path(descriptor.digest).read_bytes()
        except OSError as cause:
            raise NotFoundError(f"the blob {descriptor.digest} of {self.name} is gone") from cause
        if len(data) > limit or not matches(data, descriptor.digest):
            raise RegistryError(f"the blob {descriptor.digest} of {self.name} is damaged")
        return data

    def entries(self) -> Iterator[Listed]:
        for tag, descriptor in sorted(self._read_index().items()):
            try:
                path = self._path(str(descriptor.get("digest")))
                used = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                manifest = parse_manifest(path.read_bytes())
                if isinstance(manifest, Manifest):
                    yield Listed(tag, decode_entry(manifest), used)
            except (OSError, RegistryError):
                continue

    def remove(self, *tags: str) -> None:
        """Forget tags; blobs that no other entry names go with them. One pass over the directory, however many there are."""

        def forget(known: dict[str, dict[str, Any]]) -> None:
            for tag in tags:
                known.pop(tag, None)

        self._change(forget, collect=True)

    # -- the layout -----------------------------------------------------------------------------------------------

    def _path(self, digest: str) -> Path:
        algorithm, _, encoded = digest.partition(":")
        return self._folder / "blobs" / algorithm / encoded

    def _read_index(self) -> dict[str, dict[str, Any]]:
        try:
            document = read_json((self._folder / "index.json").read_bytes())
            found = document["manifests"]
            return {str((each.get("annotations") or {}).get(_REF)): each for each in found}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
            raise HostError(f"{self.name} is not a readable OCI layout ({type(cause).__name__})") from cause

    def _change(self, change: Callable[[dict[str, dict[str, Any]]], object], *, collect: bool = False) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._lock, locked((str(self._folder / ".lock"),), self._cancel):
                known = self._read_index()
                change(known)
                document = {"schemaVersion": 2, "manifests": [known[tag] for tag in sorted(known)]}
                write_output(self._folder / "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
                write_output(self._folder / "index.json", json.dumps(document, indent=1).encode())
                self._known = known
                if collect:
                    self._collect(known)
        except OSError as cause:
            raise HostError(f"{self.name} cannot be written: {cause.strerror}") from cause

    def _collect(self, known: dict[str, dict[str, Any]]) -> None:
        kept = {CONFIG.digest}
        for descriptor in known.values():
            digest = Digest(str(descriptor["digest"]))
            kept.add(digest)
            with contextlib.suppress(OSError, RegistryError):
                manifest = parse_manifest(self._path(digest).read_bytes())
                if isinstance(manifest, Manifest):
                    kept |= {each.digest for each in manifest.layers}
        for blob in (self._folder / "blobs" / "sha256").glob("[0-9a-f]*"):
            if f"sha256:{blob.name}" not in kept:
                blob.unlink(missing_ok=True)
