"""A cache inside of an image: an annotation of its manifest says which keys its layers have (``--cache-to type=inline``)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from gazami.cache.entry import CacheEntry
from gazami.cache.store import Blob, Listed
from gazami.errors import NotFoundError, RegistryError
from gazami.foreign import read_json
from gazami.image.config import parse_config
from gazami.image.manifest import Descriptor, Manifest
from gazami.image.model import Origin, Remote
from gazami.image.reference import Reference
from gazami.registry.client import RegistryClient
from gazami.registry.flights import Flights

NOTE = "dev.gazami.cache.inline"


def inline_note(keys: dict[str, int]) -> tuple[str, str]:
    """The annotation for keys and the positions of their layers."""
    return NOTE, json.dumps(keys, separators=(",", ":"), sort_keys=True)


class InlineStore:
    """Read only: the layers of one image, of one platform."""

    def __init__(self, client: RegistryClient, image: Reference) -> None:
        self._client = client
        self._image = image
        self._entries: Flights[str, dict[str, CacheEntry] | RegistryError] = Flights()

    @property
    def name(self) -> str:
        return f"image {self._image}"

    def of(self, tag: str) -> InlineStore:
        return self

    def get(self, tag: str, *, anew: bool = False) -> CacheEntry | None:
        """Pull the image once; if that fails, every tag fails."""
        entries = self._entries.get("entries", self._once, self._client.transport.cancel)
        if isinstance(entries, RegistryError):
            raise entries
        return entries.get(tag)

    def origin(self, descriptor: Descriptor) -> Origin:
        return Remote(self._image)

    def put(self, tags: tuple[str, ...], entry: CacheEntry, blobs: tuple[Blob, ...]) -> None:
        raise RegistryError(f"{self.name} cannot store cache entries")

    def read(self, descriptor: Descriptor, limit: int) -> bytes:
        return self._client.read_blob(self._image, descriptor, limit)

    def entries(self) -> Iterator[Listed]:
        return iter(())

    def remove(self, *tags: str) -> None:
        raise RegistryError(f"{self.name} is read-only")

    def _once(self) -> dict[str, CacheEntry] | RegistryError:
        try:
            return self._read()
        except RegistryError as error:
            return error

    def _read(self) -> dict[str, CacheEntry]:
        try:
            manifest = self._client.get_manifest(self._image)
        except NotFoundError:
            return {}
        note = dict(manifest.annotations).get(NOTE) if isinstance(manifest, Manifest) else None
        if note is None or not isinstance(manifest, Manifest):
            return {}
        config = parse_config(self._client.read_blob(self._image, manifest.config))
        times = [entry.created for entry in config.history if not entry.empty_layer]
        try:
            keys: dict[str, Any] = read_json(note)
            return {
                key: CacheEntry(_time(times[number]), manifest.layers[number], config.diff_ids[number])
                for key, number in keys.items()
            }
        except (ValueError, TypeError, AttributeError, IndexError, OverflowError) as cause:
            raise RegistryError(f"the inline cache of {self._image} is malformed") from cause


def _time(text: str | None) -> datetime:
    return datetime.fromisoformat((text or "").replace("Z", "+00:00")).astimezone(UTC)
