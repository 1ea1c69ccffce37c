"""Contents of ``RUN --mount=type=cache`` in the layer cache, so that they outlive a runner (``--cache-mounts``).

A mount is fetched when a step first asks for it and this machine does not have it; after the build it is stored as one layer
under its id, if it changed and is not too large. Neither ever fails a build.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator

from gazami.builder.cached.stores import Stores
from gazami.builder.files.layer_files import LayerFiles, observed, open_layer, phase
from gazami.builder.files.streams import produced
from gazami.builder.stages.isolation import Isolation
from gazami.cache.entry import CacheEntry
from gazami.errors import Cancelled, GazamiError
from gazami.events import Message
from gazami.image.model import Layer
from gazami.layer.pack import Packing, layer_writer
from gazami.rootfs.requests import UpperRequest
from gazami.values import fast_dataclass, field

PACKING = Packing("zstd", 3, oci=True)


class TooLarge(Exception):
    """A mount holds more than ``--cache-mounts-max``."""


@fast_dataclass(slots=True)
class CacheMounts:
    """``limit`` is in bytes of files. Mounts are named by :meth:`Mounting.cache_identity`."""

    stores: Stores
    isolation: Isolation
    layers: LayerFiles
    limit: int
    _used: dict[str, str] = field(default_factory=dict)
    _restored: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def use(self, identity: str, path: str) -> None:
        """A step uses the mount, whose directory is ``path``."""
        with self._lock:
            self._used[identity] = path

    def save(self) -> None:
        """Store the mounts that steps used."""
        for identity, path in self._used.items():
            try:
                self._save(identity, path)
            except Cancelled:
                return
            except TooLarge:
                text = f"the cache mount {identity} holds more than {self.limit >> 20} MiB and is not stored"
                self.layers.emit(Message("warning", f"{text}: raise --cache-mounts-max, or empty it"))
            except GazamiError as error:
                self.layers.emit(Message("warning", f"the cache mount {identity} was not stored: {error}"))

    def restore(self, identity: str, path: str) -> None:
        """Fill the mount's new directory, which no step uses yet, from the cache."""
        hit = self.stores.find(tag_of(identity), any_age=True)
        if hit is None:
            return
        unpacker = self.isolation.unpacker(path)
        try:
            with (
                phase(self.layers.emit, f"mount-{identity}", f"restoring the cache mount {identity}") as progress,
                unpacker.feeding() as write,
            ):
                for chunk in observed(self.layers.tar_chunks(hit.layer), progress):
                    write(chunk)
        except Cancelled:
            raise
        except GazamiError as error:
            self.layers.emit(Message("warning", f"the cache mount {identity} was restored only partly: {error}"))
            return
        with self._lock:
            self._restored[identity] = hit.layer.diff_id

    def _save(self, identity: str, path: str) -> None:
        with (
            phase(self.layers.emit, f"mount-{identity}", f"packing the cache mount {identity}") as progress,
            produced(self.isolation.sandbox, UpperRequest(path)) as chunks,
            layer_writer(self.layers.workspace.blobs, PACKING) as writer,
        ):
            for chunk in self._bounded(observed(chunks, progress)):
                writer.write(chunk)
            layer = writer.finish()
        if layer.diff_id != self._restored.get(identity):
            self._store(identity, layer)

    def _bounded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        done = 0
        for chunk in chunks:
            done += len(chunk)
            if done > self.limit:
                raise TooLarge
            yield chunk

    def _store(self, identity: str, layer: Layer) -> None:
        entry = CacheEntry(self.stores.now(), layer.descriptor, layer.diff_id, f"cache mount {identity}")
        blob = (layer.descriptor, open_layer(self.layers, layer), layer.origin)
        self.stores.write(lambda store: store.put((tag_of(identity),), entry, (blob,)))


def tag_of(identity: str) -> str:
    return f"mount-{hashlib.sha256(identity.encode()).hexdigest()[:48]}"
