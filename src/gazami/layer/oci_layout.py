"""Images in a directory (OCI image spec, image-layout.md): the only module that reads and writes layouts.

``index.json`` lists manifests and indexes, by digest and perhaps by name; their parts lie below ``blobs``, each under its digest.
All reads are verified, by any supported algorithm. Blobs appear by rename, and the index is replaced as a whole and last, so a
reader never sees an image whose blobs are missing. A layout has no lock: a caller that shares one must hold its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from gazami.cancel import Cancel
from gazami.errors import ArchiveError, ContextError, GazamiError, HostError, IntegrityError, NotFoundError, RegistryError
from gazami.foreign import read_json
from gazami.image.digest import is_digest, matches, verified
from gazami.image.encoding import encode_json
from gazami.image.manifest import OCI_INDEX, Descriptor, Index, Manifest, parse_manifest
from gazami.layer.blobs import blob_path, chunks_of, open_file
from gazami.layer.output_file import OutputFolder, own_directory
from gazami.values import fast_dataclass, field

MAX_DOCUMENT = 16 << 20
"""Bytes of a manifest or config of a layout; a larger one is refused."""

_NAME = "org.opencontainers.image.ref.name"

NewBlob: TypeAlias = tuple[Descriptor, Callable[[], Iterable[bytes]]]
"""A blob and its bytes, which are right already."""


def blob_file(descriptor: Descriptor, path: Path) -> NewBlob:
    return descriptor, lambda: chunks_of(path)


def blob_data(descriptor: Descriptor, data: bytes) -> NewBlob:
    return descriptor, lambda: (data,)


def blob_of(manifest: Manifest | Index) -> NewBlob:
    return blob_data(manifest.descriptor(), manifest.raw)


@fast_dataclass(frozen=True, slots=True)
class LayoutEntry:
    """What an index lists: ``digest`` as it is written there, ``name`` empty if it has none."""

    digest: str
    name: str
    document: dict[str, Any]


def _entry(document: dict[str, Any]) -> LayoutEntry:
    notes = document.get("annotations")
    name = notes.get(_NAME) if isinstance(notes, dict) else None
    return LayoutEntry(str(document.get("digest")), str(name or ""), document)


@fast_dataclass(frozen=True, slots=True)
class OciLayout:
    """``is_shared``: everybody may read its blobs, whatever the umask. ``cancel`` ends a long copy."""

    folder: Path
    is_shared: bool = False
    cancel: Cancel = field(default_factory=Cancel)

    @property
    def blobs(self) -> Path:
        return self.folder / "blobs"

    def path(self, digest: str) -> Path:
        return blob_path(self.blobs, digest)

    # -- reading ------------------------------------------------------------------------------------------------------

    @property
    def exists(self) -> bool:
        return (self.folder / "index.json").exists()

    @property
    def written(self) -> float:
        """When the index was written, in seconds. Raises OSError where there is none."""
        return (self.folder / "index.json").stat().st_mtime

    def entries(self) -> tuple[LayoutEntry, ...]:
        """What the index lists, in order. Raises :class:`ContextError` for what is no layout."""
        try:
            with open_file(self.folder / "index.json") as file:
                listed = read_json(file.readall())["manifests"]
            return tuple(_entry(each) for each in listed if isinstance(each, dict))
        except (OSError, ValueError, KeyError, TypeError) as cause:
            hint = "it needs an index.json with manifests"
            raise ContextError(f"{self.folder} is not an OCI layout", hint=hint) from cause

    def named(self, name: str) -> tuple[LayoutEntry, ...]:
        """The entries that have a name, or are of a digest; all of them for an empty name."""
        return tuple(each for each in self.entries() if not name or name in (each.digest, each.name))

    def blob(self, digest: str, limit: int = MAX_DOCUMENT) -> bytes:
        """A small blob, verified. Raises :class:`NotFoundError`, :class:`IntegrityError`, :class:`HostError`, and
        :class:`ArchiveError` for what is no digest."""
        if not is_digest(digest):
            raise ArchiveError(f"the OCI layout {self.folder} names {digest!r}, which is not a digest")
        try:
            with open_file(self.path(digest)) as file:
                data = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError) as cause:
            raise NotFoundError(f"the OCI layout {self.folder} has no blob {digest}") from cause
        except OSError as cause:
            raise HostError(f"cannot read the OCI layout {self.folder}: {cause.strerror}") from cause
        if len(data) > limit:
            raise RegistryError(f"the blob {digest} of the OCI layout {self.folder} has more than {limit} bytes")
        if not matches(data, digest):
            raise IntegrityError(f"the blob {digest} of the OCI layout {self.folder} is damaged")
        return data

    def manifest(self, digest: str) -> Manifest | Index:
        """Raises :class:`RegistryError` for a blob that is neither, and as :meth:`blob` does."""
        return parse_manifest(self.blob(digest))

    # -- writing ------------------------------------------------------------------------------------------------------

    def write(self, manifest: Manifest, config: bytes, layers: Sequence[NewBlob], name: str = "") -> None:
        """Make this the layout of one image. Blobs that are there stay. Raises :class:`HostError`."""
        self.store((*layers, blob_data(manifest.config, config), blob_of(manifest)))
        self._write_index([_listed(manifest, name)])

    def store(self, blobs: Iterable[NewBlob], *, reads_again: bool = True) -> None:
        """Store the blobs that are not there. An existing one is trusted, or read again and replaced if its digest is wrong. Raises
        :class:`HostError`."""
        with self._writing():
            for descriptor, chunks in blobs:
                path = self.path(descriptor.digest)
                own_directory(own_directory(self.blobs) / path.parent.name)
                with OutputFolder(path.parent, follow=False) as folder:
                    has = folder.has_file(path.name, descriptor.size)
                    if not has or (reads_again and not self._is_whole(folder, path.name, descriptor)):
                        self._put(folder, path.name, chunks())

    def add(self, manifest: Manifest | Index, names: Iterable[str]) -> None:
        """List an image whose blobs are there under names, which another image may have had. Raises :class:`HostError`."""
        new = {name: _listed(manifest, name) for name in names}
        self._change(lambda known: known | new)

    def forget(self, names: Iterable[str]) -> None:
        """List nothing under the names. The blobs stay until :meth:`collect`."""
        gone = frozenset(names)
        self._change(lambda known: {name: each for name, each in known.items() if name not in gone})

    def collect(self) -> None:
        """Remove the blobs that no listed manifest names."""
        kept: set[str] = set()
        for entry in self.entries():
            kept.add(entry.digest)
            with contextlib.suppress(GazamiError):
                manifest = self.manifest(entry.digest)
                if isinstance(manifest, Manifest):
                    kept |= {each.digest for each in (manifest.config, *manifest.layers)}
        with self._writing():
            for blob in (self.blobs / "sha256").glob("[0-9a-f]*"):
                if f"sha256:{blob.name}" not in kept:
                    blob.unlink(missing_ok=True)

    def take_index(self, raw: bytes) -> None:
        """Make ``index.json`` of one that another layout has."""
        with self._writing(), OutputFolder(self.folder) as folder:
            folder.put("index.json", raw)

    def _change(self, change: Callable[[dict[str, dict[str, Any]]], dict[str, dict[str, Any]]]) -> None:
        """Replace the index, which lists by name."""
        known = {each.name: each.document for each in self.entries()} if self.exists else {}
        changed = change(known)
        self._write_index([changed[name] for name in sorted(changed)])

    def _write_index(self, documents: list[dict[str, Any]]) -> None:
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": documents}
        with self._writing(), OutputFolder(self.folder) as folder:
            folder.put("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            folder.put("index.json", encode_json(index, indent=2))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as cause:
            link = f" ({cause.filename})" if isinstance(cause, NotADirectoryError) and cause.filename else ""
            raise HostError(f"cannot write the OCI layout {self.folder}: {cause.strerror}{link}") from cause

    def _is_whole(self, folder: OutputFolder, name: str, descriptor: Descriptor) -> bool:
        try:
            for _ in verified(folder.chunks(name), descriptor.digest, descriptor.size, IntegrityError):
                self.cancel.check()
        except IntegrityError:
            return False
        return True

    def _put(self, folder: OutputFolder, name: str, chunks: Iterable[bytes]) -> None:
        with folder.file(name) as file:
            for chunk in chunks:
                self.cancel.check()
                file.write(chunk)
            if self.is_shared:
                os.fchmod(file.fileno(), 0o644)


def _listed(manifest: Manifest | Index, name: str) -> dict[str, Any]:
    document = manifest.descriptor().encode()
    return {**document, "annotations": {_NAME: name}} if name else document
