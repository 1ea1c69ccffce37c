"""One cache entry as an OCI image manifest: a single document that says everything a hit needs. Pure.

The layer's descriptor, its diff id and the inputs of its key are all in the manifest, so that a look-up is one request and the
registry's garbage collection sees that the blob is in use. A second layer descriptor, where there is one, lists the layer's members
(see ``rootfs.kept_tree``).
"""

from __future__ import annotations

import json
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
_MAX_RECORD = 256 * 1024
"""Bytes of inputs that an entry records; registries limit manifests to 4 MiB."""


@fast_dataclass(frozen=True, slots=True)
class CacheEntry:
    """What a key stands for. ``layer`` and ``diff_id`` are None for an entry that is a tree alone. ``created`` is UTC."""

    created: datetime
    layer: Descriptor | None = None
    diff_id: Digest | None = None
    text: str = ""
    """The instruction, for people."""
    inputs: KeyInputs = ()
    files: Descriptor | None = None
    listing: str = ""
    """The files that the step took from elsewhere, see ``cache.listing``."""

    def with_files(self, files: Descriptor) -> CacheEntry:
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
    layers = tuple(each for each in (entry.layer, entry.files) if each is not None)
    return encode_manifest(OCI_MANIFEST, CONFIG, layers, tuple(sorted(notes.items())))


def decode_entry(manifest: Manifest) -> CacheEntry:
    """Raises :class:`RegistryError` when the manifest is none of ours, or of another version."""
    notes = dict(manifest.annotations)
    if manifest.config.media_type != ARTIFACT:
        raise RegistryError(f"not a cache entry but {manifest.config.media_type or 'something unknown'}")
    try:
        created = datetime.strptime(notes[_CREATED], _TIME).replace(tzinfo=UTC)
        inputs = tuple((str(name), str(value)) for name, value in read_json(notes.get(_PREFIX + "inputs", "[]")))
        diff_id = notes.get(_PREFIX + "diff-id")
        layers = [each for each in manifest.layers if each.media_type != FILES]
        indexes = [each for each in manifest.layers if each.media_type == FILES]
        if len(layers) != (diff_id is not None) or len(indexes) > 1:
            raise ValueError("layers")
        return CacheEntry(
            created,
            layers[0] if layers else None,
            parse_digest(diff_id) if diff_id is not None else None,
            notes.get(_PREFIX + "text", ""),
            inputs,
            indexes[0] if indexes else None,
            notes.get(_PREFIX + "listing", ""),
        )
    except (KeyError, ValueError, TypeError, UsageError) as cause:
        raise RegistryError(f"the cache entry is malformed ({type(cause).__name__}: {cause})") from cause
