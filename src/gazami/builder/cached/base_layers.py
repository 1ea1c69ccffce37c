"""Layers of base images in this machine's own cache: an entry each, by the digest of the blob.

They are found before anything runs, so that a step that has to run does not fetch its base again, and stored at the end, also
when a step has failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gazami.cache.entry import CacheEntry
from gazami.image.model import LocalFile
from gazami.values import fast_dataclass

if TYPE_CHECKING:
    from gazami.builder.cached.stores import Stores
    from gazami.cache.store import CacheStore
    from gazami.image.digest import Digest
    from gazami.image.manifest import Descriptor
    from gazami.layer.blobs import BlobStore
    from gazami.registry.resolved import Resolved


@fast_dataclass(frozen=True, slots=True)
class BaseLayers:
    """Those of a build's images in the store that it writes to."""

    stores: Stores
    images: tuple[Resolved, ...]

    def files(self) -> dict[Digest, Path]:
        """The files of the layers that are there."""
        found: dict[Digest, Path] = {}
        for descriptor, _, _ in self._layers():
            hit = self.stores.find(_tag(descriptor), any_age=True)
            if hit is not None and isinstance(hit.layer.origin, LocalFile):
                found[descriptor.digest] = Path(hit.layer.origin.path)
        return found

    def store(self, known: Iterable[Digest], fetched: BlobStore) -> None:
        """Keep the layers that this build has fetched into files."""
        known = frozenset(known)
        for descriptor, diff_id, name in self._layers():
            path = fetched.path(descriptor.digest)
            if descriptor.digest not in known and path.exists():
                self._write(descriptor, CacheEntry(self.stores.now(), descriptor, diff_id, f"layer of {name}"), path)

    def _write(self, descriptor: Descriptor, entry: CacheEntry, path: Path) -> None:
        def work(store: CacheStore) -> None:
            store.put((_tag(descriptor),), entry, ((descriptor, lambda: path.open("rb"), LocalFile(str(path))),))

        self.stores.write(work)

    def _layers(self) -> Iterator[tuple[Descriptor, Digest, str]]:
        """``(descriptor, diff id, the image's name)``, each once."""
        seen: set[Digest] = set()
        for image in self.images:
            for descriptor, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=False):
                if descriptor.digest not in seen:
                    seen.add(descriptor.digest)
                    yield descriptor, diff_id, str(image.reference)


def _tag(descriptor: Descriptor) -> str:
    return f"base-{descriptor.digest.partition(':')[2]}"
