"""New layers: members or a tar stream become a blob of the workspace, and on the same pass trees and caches learn of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from gazami.builder.files.layer_files import LayerFiles, keeps_bytes, learn_layer, observed, phase, teed
from gazami.layer.beneath import open_content
from gazami.layer.entry import BytesContent, Entry, FileContent, Kind, LayerContent
from gazami.layer.pack import LayerWriter, Packing, layer_writer
from gazami.layer.tar_writer import write_members
from gazami.rootfs.kept_tree import MAX_MEMBERS, Members
from gazami.values import fast_dataclass, replace

if TYPE_CHECKING:
    from gazami.image.model import Layer
    from gazami.registry.stream import GrowingUpload
    from gazami.rootfs.changes import Changes
    from gazami.rootfs.tree import Tree

Follow: TypeAlias = "Callable[[Path], GrowingUpload]"
"""Begins the upload of a blob while its file grows."""

_Member: TypeAlias = tuple[Entry, FileContent | BytesContent | None]


@fast_dataclass(frozen=True, slots=True)
class NewLayer:
    """What a step made: no layer, or one with so many ``entries`` (None where they were not counted). ``directory`` is where
    its files lie already, or empty; ``members`` are listed for a cache that keeps those, ``growing`` is the upload that began
    while the layer was written, and ``name`` the one by which the stage's tree knows it, if that is not its diff id. One that may
    be ``incomplete`` is for this build alone: who takes it from a cache would not hear of that."""

    layer: Layer | None = None
    entries: int | None = None
    directory: str = ""
    members: Members | None = None
    growing: GrowingUpload | None = None
    name: str = ""
    incomplete: bool = False


@fast_dataclass(frozen=True, slots=True)
class Packer:
    """``newest`` is the latest time in seconds that a member may have; ``lists_members``: a cache wants the members."""

    files: LayerFiles
    packing: Packing
    newest: int | None = None
    lists_members: bool = False

    def changes(self, changes: Changes, tree: Tree, follow: Follow | None = None) -> NewLayer:
        """Write changes that ``tree`` shows, from wherever the contents lie."""
        members: Members | None = [] if self.lists_members else None
        stream = write_members(self._listed(self.placed(changes, tree), members))
        name = self.files.workspace.new_name()
        with phase(self.files.emit, f"pack-{name}", "writing the layer") as progress, self._writer(follow) as (writer, growing):
            for chunk in observed(self.files.cancel.checked(stream), progress):
                writer.write(chunk)
            layer = writer.finish()
        return NewLayer(layer, len(changes), members=members, growing=growing)

    def stream(self, chunks: Iterator[bytes], tree: Tree | None, follow: Follow | None) -> NewLayer:
        """Pack a tar stream. ``tree`` learns of its files from the same bytes, and so does a registry by ``follow``."""
        name = self.files.workspace.new_name()
        members: Members | None = [] if self.lists_members and tree is not None else None
        with self._writer(follow) as (writer, growing):
            written = teed(chunks, writer.write)
            if tree is not None:
                learn_layer(name, written, tree, members)
            else:
                for _ in written:
                    pass
            layer = writer.finish()
        self.files.layers[name] = layer
        return NewLayer(layer, members=members, growing=growing, name=name)

    @contextlib.contextmanager
    def _writer(self, follow: Follow | None) -> Iterator[tuple[LayerWriter, GrowingUpload | None]]:
        """Where a layer is written, and its upload beside that, which is given up with the layer."""
        with layer_writer(self.files.workspace.blobs, self.packing) as writer:
            growing = follow(writer.path) if follow is not None else None
            try:
                yield writer, growing
            except BaseException:
                if growing is not None:
                    growing.abandon()
                raise

    def placed(self, changes: Changes, tree: Tree) -> Iterator[_Member]:
        """The members of changes with their contents on this machine; what lies elsewhere is fetched first."""
        members = list(changes.members(tree))
        located = self.files.locate((content, entry.size) for entry, content in members if entry.kind is Kind.FILE)
        for entry, content in members:
            yield entry, located[content] if isinstance(content, LayerContent) else content

    def _listed(self, members: Iterator[_Member], listed: Members | None) -> Iterator[_Member]:
        """Pass members on, none newer than allowed, and list them on the way."""
        for entry, content in members:
            if self.newest is not None and entry.mtime > self.newest:
                entry = replace(entry, mtime=self.newest)
            if listed is not None and len(listed) <= MAX_MEMBERS:
                listed.append((entry, _bytes_of(content, entry.size) if keeps_bytes(entry) else None))
            yield entry, content


def _bytes_of(content: FileContent | BytesContent | None, size: int) -> bytes | None:
    if not isinstance(content, FileContent):
        return content.data if content is not None else None
    with open_content(content) as file:
        return file.read(size)
