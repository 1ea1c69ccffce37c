"""The tree of an image that somebody else made: good enough to copy *onto*, never to read *from*.

Theory: a writer of a layer cache can claim anything about an image. A copy reads two facts from the tree of its destination: which
directories and links are on the way, and the headers of those directories, which the new layer repeats. So a tree from elsewhere is
used where a lie can change no more than that: on the way lie plain directories (0755, root's, without attributes), as a copy itself
would create them. Everything else (a symlink, another owner or mode, a device) is a *doubt*, and a copy that met one is done again
on a tree that was read from the image's own layers.

A lie can still do this: an existing directory on the way to what the build copies may become 0755 and root's, and a file or a link
at such a path may be replaced by a directory. It changes no byte, owner or mode bit beyond that.
"""

from __future__ import annotations

from typing import Any

from gazami.errors import ArchiveError
from gazami.layer.entry import Kind
from gazami.rootfs.kept_tree import KeptTree
from gazami.rootfs.tree import Node

_LATEST = 1 << 33
"""Seconds; a time beyond the year 2242 is a lie that headers of tar may not be able to hold."""


class UnverifiedTree(KeptTree):
    """``doubts`` are the names that walks came across and that are not plain; the holder clears it before its own work."""

    def __init__(self, data: bytes) -> None:
        """Raises :class:`ArchiveError` for anything but an image's tree, and for one whose root is not plain."""
        self._rows: dict[int, Node] = {}
        self.doubts: list[str] = []
        super().__init__(data)
        if not _is_plain(self.root):
            raise ArchiveError("the root of the tree is not a plain directory")

    def child(self, node: Node, name: str) -> Node | None:
        found = super().child(node, name)
        if found is not None and id(found) in self._rows and not _is_plain(found):
            self.doubts.append(name)
        return found

    def _node(self, path: str, row: list[Any]) -> Node:
        node = super()._node(path, row)
        node.content = None  # nobody's bytes
        self._rows[id(node)] = node
        return node


def _is_plain(node: Node) -> bool:
    """A file only says that its name is taken, which a copy replaces."""
    if node.kind is Kind.FILE:
        return True
    return (
        node.kind is Kind.DIRECTORY
        and (node.mode, node.uid, node.gid) == (0o755, 0, 0)
        and not node.xattrs
        and isinstance(node.mtime, int)
        and 0 <= node.mtime < _LATEST
    )
