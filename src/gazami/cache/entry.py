"""One cache entry as an OCI image manifest: a single document that says everything a hit needs. Pure.

The layer's descriptor, its diff id and the inputs of its key are all in the manifest, so that a look-up is one request and the
registry's garbage collection sees that the blob is in use. A list of the layer's members, or the tree of an image (see
``rootfs.kept_tree``), is in an annotation where it is small, else a second layer.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable
from datetime import UTC, datetime

from gazami.cache.keys import KeyInputs, record
from gazami.errors import RegistryError, UsageError
from gazami.foreign import read_json
from gazami.image.digest import Digest, digest_of, parse_digest
from gazami.image.manifest import OCI_MANIFEST, Descriptor, Manifest, encode_manifest
from gazami.values import fast_dataclass, replace

ARTIFACT = "application/vnd.gazami.cache.v1+json"
"""The media type of an entry's config, which is the empty JSON object."""

EMPTY = b"{}"
CONFIG = Descriptor(ARTIFACT, digest_of(EMPTY), len(EMPTY))
FILES = "application/vnd.gazami.index.v1+zstd"

_CREATED = "org.opencontainers.image.created"
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_PREFIX = "dev.gazami.cache."
_FILES = _PREFIX + "files"
_MAX_RECORD = 256 * 1024
"""Bytes of inputs that an entry records; registries limit manifests to 4 MiB."""

SMALL_MEMBERS, SMALL_TREE = 16 * 1024, 128 * 1024
"""Bytes of lists that an entry holds itself. A list of members comes with each look-up, whether it is needed or not."""


@fast_dataclass(frozen=True, slots=True)
class FileList:
    """An encoded list of files: what it is, and its bytes where they are at hand."""

    descriptor: Descriptor
    data: bytes | None = None

    @classmethod
    def of(cls, data: bytes) -> FileList:
        return cls(Descriptor(FILES, digest_of(data), len(data)), data)

    def read(self, blob: Callable[[Descriptor, int], bytes], limit: int) -> bytes:
        """The bytes; ``blob`` reads a small blob where they are one. Raises what it raises."""
        return blob(self.descriptor, limit) if self.data is None else self.data


@fast_dataclass(frozen=True, slots=True)
class CacheEntry:
    """What a key stands for. ``layer`` and ``diff_id`` are None for an entry that is a tree alone. ``created`` is UTC."""

    created: datetime
    layer: Descriptor | None = None
    diff_id: Digest | None = None
    text: str = ""
    """The instruction, for people."""
    inputs: KeyInputs = ()
    files: FileList | None = None
    listing: str = ""
    """The files that the step took from elsewhere, see ``cache.listing``."""

    @property
    def file_blob(self) -> FileList | None:
        """The list of files that is a blob of its own, if there is one."""
        return self.files if self.files is not None and self._embedded is None else None

    @property
    def _embedded(self) -> bytes | None:
        """The bytes of a small list."""
        if self.files is None or self.files.data is None:
            return None
        return self.files.data if len(self.files.data) <= (SMALL_TREE if self.layer is None else SMALL_MEMBERS) else None

    @property
    def subject(self) -> Descriptor | None:
        """What the entry is there for: the layer, or the list of files where that is all."""
        return self.layer or (self.files.descriptor if self.files is not None else None)

    def with_files(self, files: FileList) -> CacheEntry:
        return replace(self, files=files)


def encode_entry(entry: CacheEntry) -> Manifest:
    inputs = json.dumps([list(each) for each in record(entry.inputs)], ensure_ascii=True)
    if len(inputs) > _MAX_RECORD:
        inputs = "[]"
    notes = {_CREATED: entry.created.strftime(_TIME), _PREFIX + "text": entry.text[:1000], _PREFIX + "inputs": inputs}
    if entry.listing:
        notes[_PREFIX + "listing"] = entry.listing
    if entry.diff_id is not None:
        notes[_PREFIX + "diff-id"] = entry.diff_id
    if (small := entry._embedded) is not None:
        notes[_FILES] = binascii.b2a_base64(small, newline=False).decode()
    blob = entry.file_blob
    layers = tuple(each for each in (entry.layer, blob.descriptor if blob is not None else None) if each is not None)
    return encode_manifest(OCI_MANIFEST, CONFIG, layers, tuple(sorted(notes.items())))


def decode_entry(manifest: Manifest) -> CacheEntry:
    """Raises :class:`RegistryError` when the manifest is none of ours, or of another version."""
    notes = dict(manifest.annotations)
    if manifest.config.media_type != ARTIFACT:
        raise RegistryError(f"not a cache entry but {manifest.config.media_type or 'something unknown'}")
    try:
        created = _time(notes[_CREATED])
        inputs = tuple((str(name), str(value)) for name, value in read_json(notes.get(_PREFIX + "inputs", "[]")))
        diff_id = notes.get(_PREFIX + "diff-id")
        layers = [each for each in manifest.layers if each.media_type != FILES]
        indexes = [each for each in manifest.layers if each.media_type == FILES]
        if len(layers) != (diff_id is not None) or len(indexes) > 1:
            raise ValueError("layers")
        files = FileList(indexes[0]) if indexes else None
        if (small := notes.get(_FILES)) is not None:
            files = FileList.of(binascii.a2b_base64(small, strict_mode=True))
        return CacheEntry(
            created,
            layers[0] if layers else None,
            parse_digest(diff_id) if diff_id is not None else None,
            notes.get(_PREFIX + "text", ""),
            inputs,
            files,
            notes.get(_PREFIX + "listing", ""),
        )
    except (KeyError, ValueError, TypeError, UsageError) as cause:
        raise RegistryError(f"the cache entry is malformed ({type(cause).__name__}: {cause})") from cause


def _time(text: str) -> datetime:
    """A time as :data:`_TIME` writes it. (What ``strptime`` needs takes longer to import than most look-ups.)"""
    if len(text) != 27 or text[-1] != "Z":
        raise ValueError("time")
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)
