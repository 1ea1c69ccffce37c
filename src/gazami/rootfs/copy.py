"""COPY and ADD on trees alone: which nodes appear where (frontend reference, COPY; BuildKit's file operations).

Pure: sources and destination are trees, the result is :class:`Changes`. Destination symlinks are followed inside the root;
sources are followed to their last component; a directory source means its contents.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable

from gazami.dockerfile.suggest import nearest
from gazami.errors import ArchiveError, ContextError
from gazami.layer.entry import BytesContent, Content, Entry, Kind
from gazami.rootfs.changes import Changes
from gazami.rootfs.glob import glob, has_wildcard, unescaped
from gazami.rootfs.modes import Chmod
from gazami.rootfs.owners import Owner
from gazami.rootfs.tree import Node, Tree, node_of
from gazami.values import fast_dataclass, field

Excluder = Callable[[str, tuple[bool, ...] | None], tuple[bool, tuple[bool, ...]]]


@fast_dataclass(frozen=True, slots=True)
class Attributes:
    """What the flags ask for. ``owner`` None keeps the source's; ``octal`` is the mode of created parents, if numeric."""

    owner: Owner | None = None
    chmod: Chmod = lambda mode, _: mode
    octal: int | None = None

    @property
    def parent_mode(self) -> int:
        return 0o755 if self.octal is None else self.octal


@fast_dataclass(frozen=True, slots=True)
class Excluded:
    """``--exclude``: ``check`` as :meth:`gazami.context.ignore.Ignore.check`, ``prune``: nothing can come back below."""

    check: Excluder
    prune: bool


class MissingSource(ContextError):
    """A source that is not there; ``path`` has no leading slash. The hint names what is there and looks like it."""

    def __init__(self, tree: Tree, path: str) -> None:
        found = nearest_path(tree, path)
        super().__init__(f'"/{path}": not found', hint=f"did you mean {found}?" if found else None)
        self.path = path


def nearest_path(tree: Tree, path: str) -> str | None:
    """The path that exists and differs least: the first component that is missing is replaced by its nearest sibling."""
    parts = path.split("/")
    for count in range(len(parts)):
        parent = tree.resolve("/".join(parts[:count]))
        if parent.node is None or not parent.node.is_directory:
            return None
        siblings = tree.children_of(parent.node)
        if parts[count] not in siblings:
            close = nearest(parts[count], siblings)
            return "/".join([*parts[:count], close]) if close else None
    return None


@fast_dataclass(slots=True)
class Copier:
    """Copies into one tree and collects the changes. ``dest`` is absolute; a trailing slash means "a directory"."""

    tree: Tree
    attributes: Attributes
    changes: Changes = field(default_factory=Changes)
    exclude: Excluded | None = None

    # -- sources --------------------------------------------------------------------------------------------------

    def copy(self, source_tree: Tree, source: str, dest: str) -> None:
        """One source word. Raises :class:`ContextError` when a literal source is missing or the destination is wrong."""
        for path, node in self.matches(source_tree, source):
            self.copy_node(source_tree, path, node, dest)

    def matches(self, source_tree: Tree, source: str) -> list[tuple[str, Node]]:
        """``(path as written, node)`` for each match; a wildcard may have none."""
        if has_wildcard(source):
            return list(glob(source_tree, source))
        written = posixpath.normpath("/" + unescaped(source)).lstrip("/")
        place = source_tree.resolve(written)
        if place.node is None:
            raise MissingSource(source_tree, written)
        return [(written, place.node)]

    def copy_node(self, source_tree: Tree, path: str, node: Node, dest: str) -> None:
        if node.kind is Kind.SYMLINK:
            place = source_tree.resolve(path)
            if place.node is None:
                raise ContextError(f'"/{path}": not found (it is a symlink to {node.link!r})')
            node = place.node
        links: dict[int, Node] = {}
        if node.is_directory:
            self._copy_directory(source_tree, node, dest, links)
        else:
            self._copy_file(node, posixpath.basename(path), dest, links)

    def copy_with_parents(self, source_tree: Tree, source: str, dest: str, include: Callable[[str], bool]) -> None:
        """``--parents``: every path that the pattern includes, with its parent directories as they are in the source."""
        prefix, pivot, _ = source.partition("/./")
        into = self._directory(dest.rstrip("/"))
        found = False
        links: dict[int, Node] = {}
        for base in self._pivots(source_tree, prefix if pivot else ""):
            for path, node in source_tree.walk("", base):
                if path and include(path) and not self._is_excluded(path):
                    found = True
                    self._parents_like_source(source_tree, base, into, path)
                    self._place(f"{into}/{path}" if into else path, node, links)
        if not found and not has_wildcard(source):
            raise MissingSource(source_tree, posixpath.normpath(f"/{source}").lstrip("/"))

    def _pivots(self, source_tree: Tree, prefix: str) -> list[Node]:
        """The directories that paths of ``--parents`` are relative to: what stands before ``/./`` may have wildcards."""
        if not has_wildcard(prefix):
            place = source_tree.resolve(unescaped(prefix))
            if place.node is None:
                raise MissingSource(source_tree, posixpath.normpath(f"/{prefix}").lstrip("/"))
            return [place.node]
        nodes = (source_tree.resolve(path).node for path, _ in glob(source_tree, prefix))
        return [node for node in nodes if node is not None and node.is_directory]

    def put_file(self, name: str, data: bytes, dest: str, mode: int = 0o644, mtime: int = 0) -> None:
        """A file with bytes of our own (a here-document, a download): owner 0:0 unless ``--chown`` says otherwise."""
        self.put_node(name, Node(Kind.FILE, mode, mtime=mtime, size=len(data), content=BytesContent(data)), dest)

    def put_node(self, name: str, node: Node, dest: str) -> None:
        """A file that comes from no tree (a download), placed as a file source of that name would be."""
        self._copy_file(node, name, dest, {})

    def extract(self, members: Iterable[tuple[Entry, Content | None]], dest: str) -> None:
        """An archive's members below ``dest``, confined there as if it were the root (``ADD archive dest/``)."""
        into = self._directory(dest.rstrip("/"))
        holder = self.tree.get(into)
        if holder is None or holder.children is None:
            raise ContextError(f"cannot extract to /{into}: it is not a directory")
        inside = self.tree.rooted_at(holder)
        for entry, content in members:
            if entry.path:
                self._extract_member(inside, into, entry, content)

    # -- placing --------------------------------------------------------------------------------------------------

    def _copy_file(self, node: Node, name: str, dest: str, links: dict[int, Node]) -> None:
        place = self.tree.resolve(dest)
        if dest.endswith("/") or (place.node is not None and place.node.is_directory):
            if place.node is not None and not place.node.is_directory:
                raise ContextError(f"cannot copy to {dest}: /{place.path} is not a directory")
            place = self.tree.resolve(f"{dest.rstrip('/')}/{name}")
        if place.node is not None and place.node.is_directory:
            raise ContextError(f"cannot replace the directory /{place.path} with a file")
        self._make_parents(place.path)
        self._place(place.path, node, links)

    def _copy_directory(self, source_tree: Tree, node: Node, dest: str, links: dict[int, Node]) -> None:
        place = self.tree.resolve(dest)
        if place.node is not None and not place.node.is_directory:
            raise ContextError(f"cannot copy a directory to /{place.path}: it is not a directory")
        if place.node is None:
            self._make_parents(place.path)
            top = Node(Kind.DIRECTORY, self.attributes.chmod(0o755, True), mtime=node.mtime)
            if self.attributes.owner is not None:
                top.uid, top.gid = self.attributes.owner.uid, self.attributes.owner.gid
        else:
            top = place.node
            top.mtime = node.mtime
        self.changes.put(self.tree, place.path, top)
        self._copy_children(source_tree, node, place.path, links)

    def _copy_children(self, source_tree: Tree, top: Node, dest: str, links: dict[int, Node]) -> None:
        """What lies below a directory, in the order of names. A hidden directory appears only by what is shown in it."""
        start: tuple[str, Node, tuple[bool, ...] | None] = ("", top, None)
        todo = [start]
        while todo:
            below, node, state = todo.pop()
            found: list[tuple[str, Node, tuple[bool, ...] | None]] = []
            for name, child in sorted(source_tree.children_of(node).items()):
                relative = f"{below}/{name}" if below else name
                child_state, hidden = None, False
                if self.exclude is not None:
                    hidden, child_state = self.exclude.check(relative, state)
                    if hidden and (self.exclude.prune or not child.is_directory):
                        continue
                if not hidden:
                    self._place(f"{dest}/{relative}" if dest else relative, child, links)
                if child.is_directory:
                    found.append((relative, child, child_state))
            todo += reversed(found)

    def _place(self, path: str, node: Node, links: dict[int, Node]) -> None:
        """One node at a literal path, replacing what may be replaced."""
        _check_name(path)
        old = self.tree.get(path)
        if node.is_directory:
            if old is not None and not old.is_directory:
                raise ContextError(f"cannot copy a directory to /{path}: it is not a directory")
            new = self._made(node)
            if old is not None:
                new.children = old.children
        else:
            if old is not None and old.is_directory:
                raise ContextError(f"cannot replace the directory /{path} with a file")
            self._make_parents(path)
            new = links.get(id(node)) or self._made(node)
            links[id(node)] = new
        self.changes.put(self.tree, path, new)

    def _made(self, node: Node) -> Node:
        new = Node(
            node.kind, node.mode, node.uid, node.gid, node.mtime, node.size, node.link, node.device, node.xattrs, node.content
        )
        if node.kind is not Kind.SYMLINK:
            new.mode = self.attributes.chmod(node.mode, node.is_directory)
        if self.attributes.owner is not None:
            new.uid, new.gid = self.attributes.owner.uid, self.attributes.owner.gid
        return new

    def _directory(self, dest: str) -> str:
        """The literal path of a destination directory, made where it is missing."""
        place = self.tree.resolve(dest)
        if place.node is not None and not place.node.is_directory:
            raise ContextError(f"cannot copy to {dest or '/'}: /{place.path} is not a directory")
        if place.node is None:
            self._make_parents(f"{place.path}/x")
        return place.path

    def _make_parents(self, path: str) -> None:
        parts = path.split("/")[:-1]
        last = self.tree.get("/".join(parts))
        if last is not None and last.is_directory:
            return
        for count in range(1, len(parts) + 1):
            parent = "/".join(parts[:count])
            node = self.tree.get(parent)
            if node is None:
                _check_name(parent)
                owner = self.attributes.owner or Owner(0, 0)
                made = Node(Kind.DIRECTORY, self.attributes.parent_mode, owner.uid, owner.gid)
                self.changes.put(self.tree, parent, made)
            elif not node.is_directory:
                raise ContextError(f"cannot create /{path}: /{parent} is not a directory")

    def _parents_like_source(self, source_tree: Tree, base: Node, into: str, path: str) -> None:
        parts = path.split("/")[:-1]
        node = base
        for count, name in enumerate(parts, 1):
            node = source_tree.children_of(node)[name]
            target = "/".join([*([into] if into else []), *parts[:count]])
            if self.tree.get(target) is None:
                self.changes.put(self.tree, target, self._made(node))

    def _is_excluded(self, path: str) -> bool:
        return self.exclude is not None and self.exclude.check(path, None)[0]

    # -- archives -------------------------------------------------------------------------------------------------

    def _extract_member(self, inside: Tree, into: str, entry: Entry, content: Content | None) -> None:
        parent, _, name = entry.path.rpartition("/")
        _check_name(name)
        holder = inside.resolve(parent)
        base = f"{into}/{holder.path}".strip("/")
        path = f"{base}/{name}" if base else name
        if holder.node is None:
            self._make_archive_parents(path)
        elif not holder.node.is_directory:
            raise ArchiveError(f"archive member {entry.path!r} lies below something that is not a directory")
        if entry.kind is Kind.HARDLINK:
            linked = inside.resolve(entry.link, follow=False).node
            if linked is None or linked.is_directory:
                raise ArchiveError(f"hard link {entry.path!r} points to {entry.link!r}, which is not a file in the archive")
            self.changes.put(self.tree, path, linked)
            return
        node = node_of(entry, content)
        if self.attributes.owner is not None:
            node.uid, node.gid = self.attributes.owner.uid, self.attributes.owner.gid
        old = self.tree.get(path)
        if node.is_directory and old is not None and old.is_directory:
            old.mode, old.uid, old.gid, old.mtime, old.xattrs = node.mode, node.uid, node.gid, node.mtime, node.xattrs
            node = old
        elif old is not None and old.is_directory:
            self._forget_below(path, old)
        self.changes.put(self.tree, path, node)

    def _make_archive_parents(self, path: str) -> None:
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            parent = "/".join(parts[:count])
            if self.tree.get(parent) is None:
                self.changes.put(self.tree, parent, Node(Kind.DIRECTORY, 0o755))

    def _forget_below(self, path: str, directory: Node) -> None:
        for gone, _ in list(self.tree.walk(path, directory)):
            self.changes.nodes.pop(gone, None)


def _check_name(path: str) -> None:
    name = posixpath.basename(path)
    if name.startswith(".wh."):
        raise ContextError(
            f"/{path} cannot be kept in a layer: names that begin with .wh. mean deletion there",
            hint="rename the file, or exclude it in .dockerignore",
        )
