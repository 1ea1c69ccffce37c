"""Indexes of images and of cached layers, kept beside the state and in the layer cache.

What is kept saves reading whole layers; what is not, or cannot be read, costs a build nothing but that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from pathlib import Path
from typing import Protocol

from gazami.cache.store import CacheStore
from gazami.errors import GazamiError
from gazami.image.digest import Digest
from gazami.image.manifest import Descriptor
from gazami.layer.entry import BytesContent, Entry, LayerContent
from gazami.rootfs.index import MAX_INDEX, IndexTree, decode_members, encode_tree
from gazami.rootfs.tree import LayerApplier, Tree
from gazami.values import dataclass, field

KEPT = 64
"""Index files in the state directory; the ones used least recently go first."""


class RemoteIndexes(Protocol):
    """Where other machines find indexes: the layer cache."""

    def read_index(self, tag: str) -> bytes | None: ...
    def write_index(self, tag: str, data: bytes) -> None: ...


@dataclass(slots=True)
class Indexes:
    """``folder`` outlives builds. ``members`` says where the index of a cached layer can be read, by diff id."""

    folder: Path
    remote: RemoteIndexes | None = None
    members: dict[Digest, tuple[CacheStore, Descriptor]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # -- images ---------------------------------------------------------------------------------------------------

    def load(self, layers: tuple[Digest, ...]) -> Tree | None:
        """The index of an image with just these layers, if it is kept anywhere."""
        name = _name(layers)
        path = self.folder / name
        data = None
        with contextlib.suppress(OSError):
            if path.stat().st_size <= MAX_INDEX:
                data = path.read_bytes()
                os.utime(path)
        tree = _tree(data, layers)
        if tree is None and self.remote is not None:
            data = self.remote.read_index(name)
            tree = _tree(data, layers)
            if tree is not None and data is not None:
                self._keep(name, data)
        return tree

    def save(self, layers: tuple[Digest, ...], tree: Tree) -> None:
        """Keep the index of an image. ``tree`` shows its layers and nothing else."""
        name = _name(layers)
        data = encode_tree(tree, layers)
        if data is not None:
            self._keep(name, data)
            if self.remote is not None:
                self.remote.write_index(name, data)

    def _keep(self, name: str, data: bytes) -> None:
        with contextlib.suppress(OSError), self._lock:
            self.folder.mkdir(exist_ok=True, mode=0o700)
            fd, part = tempfile.mkstemp(dir=self.folder, prefix=".part-")
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(data)
                os.replace(part, self.folder / name)
            except BaseException:
                os.unlink(part)
                raise
            files = sorted(self.folder.glob("index-*"), key=lambda each: each.stat().st_mtime)
            for old in files[:-KEPT]:
                old.unlink()

    # -- cached layers --------------------------------------------------------------------------------------------

    def apply(self, diff_id: Digest, tree: Tree) -> bool:
        """Apply a cached layer to a tree from its own index; False where there is none, and the tree is untouched."""
        store, descriptor = self.members.get(diff_id, (None, None))
        if store is None or descriptor is None:
            return False
        try:
            rows = list(decode_members(store.read(descriptor, MAX_INDEX)))
        except (GazamiError, OSError):
            return False
        apply_rows(rows, diff_id, tree)
        return True


def apply_rows(rows: list[tuple[Entry, bytes | None]], layer: str, tree: Tree) -> None:
    applier = LayerApplier(tree, lambda path: LayerContent(layer, path))
    for entry, data in rows:
        applier.add(entry, BytesContent(data) if data is not None else None)


def _name(layers: tuple[Digest, ...]) -> str:
    return f"index-{hashlib.sha256(' '.join(layers).encode()).hexdigest()}"


def _tree(data: bytes | None, layers: tuple[Digest, ...]) -> Tree | None:
    if data is None:
        return None
    try:
        tree = IndexTree(data)
    except GazamiError:
        return None
    return tree if tree.layers == layers else None
