"""What a step did to the files: entries to write, in a deterministic order, with where their bytes lie."""

from __future__ import annotations

from collections.abc import Iterator

from gazami.layer.entry import Content, Entry, Kind, sort_key
from gazami.rootfs.tree import Node, Tree
from gazami.values import fast_dataclass, field, replace


@fast_dataclass(slots=True)
class Changes:
    """Nodes by path. The parents of every path are added when the members are listed, with their recorded headers."""

    nodes: dict[str, Node] = field(default_factory=dict)

    def put(self, tree: Tree, path: str, node: Node) -> None:
        """Record a node and show it in the tree. A directory keeps the children that it has there."""
        self.nodes[path] = node
        if path:
            tree.put(path, node)

    def members(self, tree: Tree) -> Iterator[tuple[Entry, Content | None]]:
        """The layer's members: parents first, the first of linked names with the bytes, the others as hard links."""
        paths = dict.fromkeys(self.nodes)
        for path in list(paths):
            while "/" in path:
                path = path.rpartition("/")[0]
                if path in paths:
                    break
                paths[path] = None
        first: dict[int, str] = {}
        for path in sorted(paths, key=sort_key):
            node = self.nodes.get(path) or tree.get(path)
            if node is None or (not path and path not in self.nodes):
                continue
            if node.kind is not Kind.DIRECTORY:
                known = first.setdefault(id(node), path)
                if known != path:
                    yield replace_link(node.entry(path), known), None
                    continue
            yield node.entry(path), node.content

    def __len__(self) -> int:
        return len(self.nodes)


def replace_link(entry: Entry, target: str) -> Entry:
    """The entry as another name of ``target``."""
    return replace(entry, kind=Kind.HARDLINK, link=target, size=0, xattrs=())
