"""The files of an image as a tree in which each file has the digest of its contents.

Layers stream by: a file's bytes are hashed and let go, so that memory grows with the number of files and not with their sizes.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, TypeAlias

from gazami.ahead import Ahead
from gazami.layer.compression import decompressed
from gazami.layer.entry import Entry, Kind, LayerContent
from gazami.layer.tar_reader import TarReader
from gazami.rootfs.tree import LayerApplier, Node, Tree
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from gazami.builder.contents.opened import Opened

Seen: TypeAlias = Callable[[Entry, "LayerContent | None"], None]


@fast_dataclass(frozen=True, slots=True)
class Files:
    """``digests`` are those of contents; a :class:`LayerContent` names one member of one layer (:func:`_members`)."""

    tree: Tree = field(default_factory=Tree)
    digests: dict[LayerContent, str] = field(default_factory=dict)

    def digest(self, node: Node) -> str:
        """That of a file's contents, empty for what has none."""
        return self.digests[node.content] if isinstance(node.content, LayerContent) else ""

    def copy(self) -> Files:
        return Files(self.tree.copy(), dict(self.digests))


def read_layers(image: Opened, numbers: range, files: Files) -> Files:
    """Apply some layers of an image to files, which are changed. Raises as :func:`apply_layer`."""
    for number in numbers:
        apply_layer(image, number, files)
    return files


def apply_layer(image: Opened, number: int, files: Files, seen: Seen | None = None) -> None:
    """Read one layer to its end, by which it is verified, and change the files by it. ``seen`` gets each member.

    Raises :class:`ArchiveError` for what is no layer, and what reading the blob raises.
    """
    applier = LayerApplier(files.tree, lambda _: None)
    with contextlib.closing(_members(image, number)) as members:
        for entry, content, digest in members:
            if content is not None:
                files.digests[content] = digest
            applier.add(entry, content)
            if seen is not None:
                seen(entry, content)


def _members(image: Opened, number: int) -> Generator[tuple[Entry, LayerContent | None, str]]:
    """Fetching and inflating go on in a thread beside the hashing. A layer may have two members of one path, so that the name of a
    content has the member's number too."""
    ahead = Ahead(decompressed(image.read(image.manifest.layers[number])))
    try:
        reader = TarReader(ahead.chunks())
        for entry in reader:
            if entry.kind is not Kind.FILE:
                yield entry, None, ""
                continue
            digest = hashlib.sha256()
            for piece in reader.content():
                digest.update(piece)
            yield entry, LayerContent(f"{number}#{reader.members}", entry.path), f"sha256:{digest.hexdigest()}"
    finally:
        ahead.stop()
