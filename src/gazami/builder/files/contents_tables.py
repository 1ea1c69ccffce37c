"""Tables of contents of a build's base layers: they say what a copy onto the base meets, without the layers' bytes.

A table is believed as far as the image goes that names it: a copy onto that image. No tree that was made from one is kept, shared
or read from, and the keys of cached steps name the tables beside the layers (``cached.keys``).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from gazami.builder.files.layer_files import WORTH_A_PROCESS
from gazami.errors import ArchiveError, Cancelled, GazamiError
from gazami.layer.entry import LayerContent
from gazami.rootfs.tree import LayerApplier
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from concurrent.futures import Future

    from gazami.builder.files.blob_files import BlobFiles
    from gazami.image.digest import Digest
    from gazami.image.model import Layer
    from gazami.layer.contents_table import ContentsTable
    from gazami.rootfs.tree import Tree

_Name: TypeAlias = "tuple[Digest, ContentsTable]"
"""Of a table: two images may have one blob and say different things of its table."""

_THREADS = 8

MAX_TABLES = 64 << 20
"""Bytes of all tables of a build that are held: some 250 000 files. The layers of further ones are read."""


@fast_dataclass(slots=True)
class ContentsTables:
    """Used by several threads. ``_read`` are the tables that were asked for, None where there is none to be had."""

    blobs: BlobFiles
    _read: dict[_Name, bytes | None] = field(default_factory=dict)
    _room: int = MAX_TABLES
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, layers: Sequence[Layer]) -> bool:
        """Read the tables of an image's large layers, all at the same time; whether each of them has one."""
        large = [layer for layer in layers if layer.descriptor.size >= WORTH_A_PROCESS]
        names = [_name(layer) for layer in large]
        if not large or None in names:
            return False
        if any(name not in self._read for name in names):
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(_THREADS, thread_name_prefix="table") as pool:
                asked: dict[_Name, Future[bytes | None]] = {
                    name: pool.submit(self._one, layer)
                    for name, layer in zip(names, large, strict=True)
                    if name is not None and name not in self._read
                }
            self._read.update({name: future.result() for name, future in asked.items()})
        return all(name is not None and self._read[name] is not None for name in names)

    def apply(self, layer: Layer, tree: Tree) -> bool:
        """Apply a layer whose table was read. Raises :class:`ArchiveError` when that is no table, and the tree is of no use."""
        known = _name(layer)
        raw = self._read.get(known) if known is not None else None
        if known is None or raw is None:
            return False
        from gazami.layer.contents_table import table_members

        name = layer.name
        applier = LayerApplier(tree, lambda path: LayerContent(name, path))
        try:
            for entry in table_members(raw):
                applier.add(entry)
        except ArchiveError:
            self._read[known] = None
            raise
        return True

    def _one(self, layer: Layer) -> bytes | None:
        from gazami.layer.contents_table import read_table, table_of

        table = table_of(layer.descriptor)
        if table is None or self._room <= 0:
            return None
        try:
            with self.blobs.registry.transport.obeying(self.blobs.cancel):
                raw = read_table(table, layer.descriptor, partial(self.blobs.part, layer))
        except Cancelled:
            raise
        except GazamiError:
            return None
        with self._lock:
            self._room -= len(raw)
            return raw if self._room >= 0 else None


def _name(layer: Layer) -> _Name | None:
    """None for a layer without a table."""
    if not layer.descriptor.annotations:
        return None
    from gazami.layer.contents_table import table_of

    table = table_of(layer.descriptor)
    return (layer.descriptor.digest, table) if table is not None else None
