"""Trees of images and members of layers from earlier builds: this machine's own, which are believed, and a layer cache's.

What is kept saves reading whole layers; what is not, or cannot be read, costs a build nothing but that. The folder holds only
what this machine derived from layers whose digests it checked (or that it wrote itself). What a cache says, or a directory of
``--cache-dir``, serves the destination of a copy alone, and is never kept: see ``rootfs.unverified``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gazami.errors import GazamiError
from gazami.layer.entry import BytesContent, LayerContent
from gazami.registry.flights import Flights
from gazami.rootfs.kept_tree import MAX_MEMBERS, MAX_TREE, KeptTree, Members, decode_members, encode_members, encode_tree
from gazami.rootfs.tree import LayerApplier, Tree
from gazami.rootfs.unverified import UnverifiedTree
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from gazami.cache.entry import FileList
    from gazami.cache.store import CacheStore
    from gazami.image.digest import Digest
    from gazami.image.model import Layer

KEPT = 64
"""Files of a kind in the state directory; the ones used least recently go first."""

_IMAGE, _LAYER = "image-", "layer-"
_FORMER = "index-*"
"""Names of earlier versions, which kept here what a cache had said."""


class SharedTrees(Protocol):
    """Where other machines find trees: the layer cache."""

    def read_tree(self, tag: str) -> bytes | None: ...
    def write_tree(self, tag: str, data: bytes) -> None: ...


@fast_dataclass(slots=True)
class KeptTrees:
    """``folder`` outlives builds; ``shared`` is the layer cache, and ``warmed`` the directory of bases, if there is one."""

    folder: Path
    shared: SharedTrees | None = None
    warmed: SharedTrees | None = None
    _cached: dict[Digest, tuple[CacheStore, FileList]] = field(default_factory=dict)
    _read_from_cache: Flights[str, bytes | None] = field(default_factory=Flights)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # -- our own --------------------------------------------------------------------------------------------------

    def load(self, layers: Sequence[Layer]) -> Tree | None:
        """The tree of an image with just these layers, if this machine read it from just these blobs."""
        data = self._read(_IMAGE + _name(_blobs_of(layers)))
        if data is None:
            return None
        with contextlib.suppress(GazamiError):
            tree = KeptTree(data, _names_of(layers))
            return tree if tree.layers == _diff_ids_of(layers) else None
        return None

    def has_image(self, blobs: Iterable[Digest]) -> bool:
        """Whether :meth:`load` probably finds something."""
        return (self.folder / (_IMAGE + _name(blobs))).exists()

    def save(self, layers: Sequence[Layer], tree: Tree) -> None:
        """Keep the tree of an image. ``tree`` was read from its layers' blobs, and shows them and nothing else. Its diff ids are
        names only: an image that lies about them has a tree of its own."""
        tag, data = shared_form(layers, tree)
        if data is not None:
            self._keep(_IMAGE, _name(_blobs_of(layers)), data)
            if self.shared is not None:
                self.shared.write_tree(tag, data)

    def save_layer(self, diff_id: Digest, members: Members) -> None:
        """Keep the members of a layer that this machine made or read."""
        if len(members) <= MAX_MEMBERS:
            self._keep(_LAYER, _name((diff_id,)), encode_members(members))

    def has(self, diff_id: Digest) -> bool:
        """Whether this machine has kept the members of a layer."""
        return (self.folder / (_LAYER + _name((diff_id,)))).exists()

    def apply(self, layer: Layer, tree: Tree) -> bool:
        """Apply a layer to a tree from its kept members; False where there are none, and the tree is untouched."""
        data = self._read(_LAYER + _name((layer.diff_id,)))
        return data is not None and _apply(data, layer, tree, bytes_too=True)

    # -- a layer cache's ----------------------------------------------------------------------------------------------------------

    @property
    def is_shared(self) -> bool:
        """Whether a layer cache wants the trees and members that this build makes."""
        return self.shared is not None

    def note_cached(self, diff_id: Digest, store: CacheStore, members: FileList) -> None:
        """A layer comes from a cache, which has its members too."""
        self._cached[diff_id] = store, members

    def is_cached(self, diff_id: Digest) -> bool:
        return diff_id in self._cached

    def load_unverified(self, layers: Sequence[Layer]) -> UnverifiedTree | None:
        """What the cache says of an image with just these layers."""
        data = self._said(layers)
        if data is None:
            return None
        with contextlib.suppress(GazamiError):
            tree = UnverifiedTree(data)
            return tree if tree.layers == _diff_ids_of(layers) else None
        return None

    def ask_ahead(self, layers: Sequence[Layer]) -> None:
        """Read what :meth:`load_unverified` will want, unless this machine knows better."""
        if not self.has_image(_blobs_of(layers)):
            self._said(layers)

    def _said(self, layers: Sequence[Layer]) -> bytes | None:
        tag = tag_of(layers)

        def read() -> bytes | None:
            places = [each for each in (self.warmed, self.shared) if each is not None]
            return next((data for each in places if (data := each.read_tree(tag)) is not None), None)

        return self._read_from_cache.get(tag, read)

    def apply_unverified(self, layer: Layer, tree: Tree) -> bool:
        """Apply a cached layer to a tree from the cache's list of its members. Its writer chose the layer too."""
        store, files = self._cached.get(layer.diff_id, (None, None))
        if store is None or files is None:
            return False
        try:
            data = files.read(store.read, MAX_TREE)
        except (GazamiError, OSError):
            return False
        return _apply(data, layer, tree, bytes_too=False)

    # -- files ----------------------------------------------------------------------------------------------------

    def _read(self, name: str) -> bytes | None:
        path = self.folder / name
        with contextlib.suppress(OSError):
            if path.stat().st_size <= MAX_TREE:
                data = path.read_bytes()
                os.utime(path)
                return data
        return None

    def _keep(self, kind: str, name: str, data: bytes) -> None:
        import tempfile

        with contextlib.suppress(OSError), self._lock:
            self.folder.mkdir(exist_ok=True, mode=0o700)
            fd, part = tempfile.mkstemp(dir=self.folder, prefix=".part-")
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(data)
                os.replace(part, self.folder / (kind + name))
            except BaseException:
                os.unlink(part)
                raise
            files = sorted(self.folder.glob(f"{kind}*"), key=lambda each: each.stat().st_mtime)
            for old in (*files[:-KEPT], *self.folder.glob(_FORMER)):
                old.unlink()


def shared_form(layers: Sequence[Layer], tree: Tree) -> tuple[str, bytes | None]:
    """Under which tag others find the tree of an image, and its bytes; None where there is none to be had."""
    return tag_of(layers), encode_tree(tree, _diff_ids_of(layers), _names_of(layers))


def _apply(data: bytes, layer: Layer, tree: Tree, *, bytes_too: bool) -> bool:
    try:
        rows = list(decode_members(data))
    except GazamiError:
        return False
    name = layer.name
    applier = LayerApplier(tree, lambda path: LayerContent(name, path))
    for entry, inline in rows:
        applier.add(entry, BytesContent(inline) if inline is not None and bytes_too else None)
    return True


def _blobs_of(layers: Iterable[Layer]) -> Iterator[Digest]:
    return (layer.descriptor.digest for layer in layers)


def _diff_ids_of(layers: Iterable[Layer]) -> tuple[Digest, ...]:
    return tuple(layer.diff_id for layer in layers)


def _names_of(layers: Iterable[Layer]) -> tuple[str, ...]:
    return tuple(layer.name for layer in layers)


def _name(digests: Iterable[Digest]) -> str:
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def tag_of(layers: Iterable[Layer]) -> str:
    """By the blobs, as here: an image that claims another one's diff ids gives its tree to nobody else."""
    return f"index-{_name(_blobs_of(layers))}"
