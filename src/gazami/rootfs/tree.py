"""The files of an image in memory, as a tree (idea 2 of the design), and how a layer changes it. Pure: no I/O.

Hard-linked names share one :class:`Node`. A directory's ``children`` keeps the order of insertion. Paths are as in
:class:`gazami.layer.entry.Entry`: no leading slash, the root is the empty string.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gazami.errors import ArchiveError, ContextError
from gazami.layer.entry import Content, Entry, Kind, Xattrs
from gazami.layer.whiteout import OPAQUE, deleted_name, is_aufs_metadata
from gazami.values import fast_dataclass

MAX_LINKS = 255
"""Symlinks followed on one path, as Go's and the kernel's walks bound it."""

MAX_DEPTH = 2048
"""Directories on one path: more names than this do not fit into PATH_MAX at once."""


class Node:
    """One file. ``children`` is None for everything but directories."""

    __slots__ = ("children", "content", "device", "gid", "kind", "link", "mode", "mtime", "size", "uid", "xattrs")

    def __init__(
        self,
        kind: Kind,
        mode: int,
        uid: int = 0,
        gid: int = 0,
        mtime: int = 0,
        size: int = 0,
        link: str = "",
        device: tuple[int, int] = (0, 0),
        xattrs: Xattrs = (),
        content: Content | None = None,
    ) -> None:
        self.kind, self.mode, self.uid, self.gid, self.mtime, self.size = kind, mode, uid, gid, mtime, size
        self.link, self.device, self.xattrs, self.content = link, device, xattrs, content
        self.children: dict[str, Node] | None = {} if kind is Kind.DIRECTORY else None

    def entry(self, path: str) -> Entry:
        """The header that records this node under a path."""
        return Entry(path, self.kind, self.mode, self.uid, self.gid, self.mtime, self.size, self.link, self.device, self.xattrs)

    @property
    def is_directory(self) -> bool:
        return self.kind is Kind.DIRECTORY

    def alone(self) -> Node:
        """A copy of the node with the same header and content; a directory's copy is empty."""
        return Node(
            self.kind, self.mode, self.uid, self.gid, self.mtime, self.size, self.link, self.device, self.xattrs, self.content
        )


@fast_dataclass(frozen=True, slots=True)
class Resolution:
    """Where a path leads once its symlinks are followed; ``node`` is None when nothing is there."""

    path: str
    node: Node | None


def node_of(entry: Entry, content: Content | None) -> Node:
    return Node(
        entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime, entry.size, entry.link, entry.device, entry.xattrs, content
    )


class Tree:
    """``children_of`` lets a subclass load directories lazily."""

    def __init__(self, root: Node | None = None) -> None:
        self.root = root or Node(Kind.DIRECTORY, 0o755)

    def children_of(self, node: Node) -> dict[str, Node]:
        return node.children if node.children is not None else {}

    def child(self, node: Node, name: str) -> Node | None:
        """One file of a directory; every walk along a path comes by here."""
        return self.children_of(node).get(name)

    def rooted_at(self, node: Node) -> Tree:
        """The files below one of this tree's directories, as a tree of their own that shares its nodes."""
        return Tree(node)

    def copy(self) -> Tree:
        """An independent tree of the same files; linked names stay linked."""
        seen: dict[int, Node] = {}
        root = self.root.alone()
        todo = [(self.root, root)]
        while todo:
            old, new = todo.pop()
            assert new.children is not None
            for name, child in self.children_of(old).items():
                made = seen.get(id(child)) or child.alone()
                if child.children is None:
                    seen[id(child)] = made
                else:
                    todo.append((child, made))
                new.children[name] = made
        return Tree(root)

    def get(self, path: str) -> Node | None:
        """The node at a literal path, no symlink followed."""
        node: Node | None = self.root
        for name in path.split("/") if path else ():
            node = self.child(node, name) if node is not None else None
        return node

    def resolve(self, path: str, *, follow: bool = True) -> Resolution:
        """Follow ``path`` from the root; links and ``..`` cannot lead out of it. ``follow``: the last component too.

        Missing components are kept: the result says where a new file goes. Raises :class:`ContextError` for a loop and for what
        lies too deep.
        """
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        trail: list[tuple[str, Node | None]] = []
        hops = 0
        while todo:
            name = todo.pop()
            if name == "..":
                if trail:
                    trail.pop()
                continue
            parent = trail[-1][1] if trail else self.root
            node = self.child(parent, name) if parent is not None else None
            if node is not None and node.kind is Kind.SYMLINK and (todo or follow):
                hops += 1
                if hops > MAX_LINKS:
                    raise ContextError(f"too many levels of symbolic links: /{path}")
                if node.link.startswith("/"):
                    trail = []
                todo += [part for part in reversed(node.link.split("/")) if part not in ("", ".")]
                continue
            trail.append((name, node))
            if len(trail) > MAX_DEPTH:
                raise ContextError(f"/{path[:200]} leads more than {MAX_DEPTH} directories deep")
        found = "/".join(name for name, _ in trail)
        return Resolution(found, trail[-1][1] if trail else self.root)

    def walk(self, path: str, node: Node) -> Iterator[tuple[str, Node]]:
        """A node and everything below it, parents first, names in byte order."""
        yield path, node
        stack = [(path, node)]
        while stack:
            base, current = stack.pop()
            if current is not node or base != path:
                yield base, current
            if current.children is not None:
                below = sorted(self.children_of(current).items(), reverse=True)
                stack += [(f"{base}/{name}" if base else name, child) for name, child in below]

    def put(self, path: str, node: Node) -> None:
        """Place a node at a literal path whose parents exist as directories."""
        parent, _, name = path.rpartition("/")
        holder = self.get(parent)
        if holder is None or holder.children is None:
            raise ContextError(f"cannot create /{path}: /{parent} is not a directory")
        self.children_of(holder)[name] = node

    def remove(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        holder = self.get(parent)
        if holder is not None:
            self.children_of(holder).pop(name, None)

    def count(self) -> int:
        return sum(1 for _ in self.walk("", self.root))


class LayerApplier:
    """Applies one layer's members to a tree (OCI image spec, layer.md, applying changesets).

    Whiteouts hide what lower layers left, never what this layer brings, in whatever order they come. The outcome is what
    overlay shows of directories with one layer each, as :mod:`.unpack` makes it: a symlink on a member's way is followed if
    this layer brought it, one of a lower layer is shadowed by a directory.
    """

    def __init__(self, tree: Tree, content: Callable[[str], Content | None]) -> None:
        self._tree, self._content = tree, content
        self._mine: set[int] = set()
        self._parents: dict[str, Node] = {}
        self._cleared: dict[int, Node] = {}

    def add(self, entry: Entry, content: Content | None = None) -> None:
        """Apply one member. Raises :class:`ArchiveError` for a hard link to nothing or an impossible path."""
        if not entry.path:
            if entry.kind is Kind.DIRECTORY:
                self._adopt(self._tree.root, entry)
            return
        parent, _, name = entry.path.rpartition("/")
        if name.startswith(".wh."):
            self._whiteout(parent, name)
            return
        holder = self._parent(parent)
        siblings = self._tree.children_of(holder)
        old = siblings.get(name)
        if entry.kind is Kind.DIRECTORY and old is not None and old.kind is Kind.DIRECTORY:
            self._adopt(old, entry)
            return
        if old is not None and old.kind in (Kind.DIRECTORY, Kind.SYMLINK):
            self._parents.clear()
        if entry.kind is Kind.HARDLINK:
            target = self._resolve(entry.link, follow=False).node
            if target is None or target.kind is Kind.DIRECTORY:
                raise ArchiveError(f"hard link {entry.path!r} points to {entry.link!r}, which is not a file in the image")
            node = target
        else:
            if content is None and entry.kind is Kind.FILE:
                content = self._content(entry.path)
            node = node_of(entry, content)
        self._mine.add(id(node))
        siblings[name] = node

    def _adopt(self, node: Node, entry: Entry) -> None:
        node.mode, node.uid, node.gid, node.mtime, node.xattrs = (entry.mode, entry.uid, entry.gid, entry.mtime, entry.xattrs)
        self._mine.add(id(node))

    def _parent(self, path: str) -> Node:
        known = self._parents.get(path)
        if known is not None:
            return known
        todo = [part for part in reversed(path.split("/")) if part]
        trail = [self._tree.root]
        hops = 0
        while todo:
            name = todo.pop()
            if name == ".." and len(trail) > 1:
                trail.pop()
            if name in (".", ".."):
                continue
            siblings = self._tree.children_of(trail[-1])
            node = siblings.get(name)
            if node is not None and node.kind is Kind.SYMLINK and id(node) in self._mine:
                hops += 1
                if hops > MAX_LINKS:
                    raise ArchiveError(f"too many symbolic links on the way to {path!r}")
                trail = trail[:1] if node.link.startswith("/") else trail
                todo += [part for part in reversed(node.link.split("/")) if part]
                continue
            if node is None or not node.is_directory:
                if node is not None and id(node) in self._mine:
                    raise ArchiveError(f"archive member below {path!r}, part of which is not a directory")
                node = siblings[name] = Node(Kind.DIRECTORY, 0o755)
                self._mine.add(id(node))
                self._parents.clear()
            trail.append(node)
            if len(trail) > MAX_DEPTH:
                raise ArchiveError(f"{path[:200]!r} leads more than {MAX_DEPTH} directories deep")
        self._parents[path] = trail[-1]
        return trail[-1]

    def _resolve(self, path: str, *, follow: bool = True) -> Resolution:
        try:
            return self._tree.resolve(path, follow=follow)
        except ContextError as cause:
            raise ArchiveError(cause.message) from None

    def _whiteout(self, parent: str, name: str) -> None:
        if is_aufs_metadata(name) or (name == OPAQUE and not parent):  # the kernel's overlay has no opaque root
            return
        holder = self._parent(parent)
        siblings = self._tree.children_of(holder)
        hidden = list(siblings) if name == OPAQUE else [deleted_name(name) or ""]
        self._parents.clear()
        if name == OPAQUE:
            if id(holder) in self._cleared:
                return
            self._cleared[id(holder)] = holder
        for each in hidden:
            victim = siblings.get(each)
            if victim is not None and not self._keep_mine(victim):
                del siblings[each]

    def _keep_mine(self, node: Node) -> bool:
        """Drop what lower layers left below a node; whether anything of this layer is left.

        A directory that was cleared once has nothing of theirs any more, so that many whiteouts of one name cost no more
        than one.
        """
        found, todo = [], [node]
        while todo:
            each = todo.pop()
            if each.children is not None and id(each) not in self._cleared:
                found.append(each)
                todo += self._tree.children_of(each).values()
        for directory in reversed(found):  # what lies below comes before what holds it
            children = self._tree.children_of(directory)
            for name, child in list(children.items()):
                if not child.children and id(child) not in self._mine:
                    del children[name]
            self._cleared[id(directory)] = directory
        return bool(node.children) or id(node) in self._mine
