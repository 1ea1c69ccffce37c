"""A folder of this machine as a :class:`Tree` that is read directory by directory, as it is asked for.

Owners are 0:0, as Docker records context files; modes, times, hard links and the extended attributes that travel
(``security.capability``, ``user.*``) are the files' own.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator

from gazami.errors import ContextError
from gazami.layer.entry import FileContent, Kind, Xattrs
from gazami.rootfs.tree import Node, Tree

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}


class Filter:
    """Which paths of a folder exist for the build. ``check`` is ``(path, state of the parent) -> (hidden, state)``."""

    def __init__(
        self,
        check: Callable[[str, tuple[bool, ...] | None], tuple[bool, tuple[bool, ...]]] | None = None,
        may_include_below: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.check = check
        self.may_include_below = may_include_below


class FolderTree(Tree):
    """Nodes of directories are loaded on first use. A hidden directory that holds something visible is there, bare."""

    def __init__(self, folder: str, hide: Filter | None = None) -> None:
        super().__init__(Node(Kind.DIRECTORY, 0o755, content=FileContent(folder)))
        self._filter = hide or Filter()
        self._unread: dict[int, tuple[str, str, tuple[bool, ...] | None]] = {id(self.root): (folder, "", None)}
        self._links: dict[tuple[int, int], Node] = {}
        self._held: list[Node] = [self.root]
        self._lock = threading.RLock()

    @property
    def hides(self) -> bool:
        """Whether some paths of the folder may not exist for the build."""
        return self._filter.check is not None

    def children_of(self, node: Node) -> dict[str, Node]:
        if id(node) in self._unread:
            with self._lock:
                pending = self._unread.get(id(node))
                if pending is not None:
                    self._load(node, *pending)
                    del self._unread[id(node)]  # not before: other threads read without the lock
        return node.children if node.children is not None else {}

    def _load(self, node: Node, folder: str, path: str, state: tuple[bool, ...] | None) -> None:
        """Read a directory, and those below it that are hidden: they are there only if something visible is in them."""
        bare: list[tuple[dict[str, Node], str, Node]] = []
        todo = [(node, folder, path, state)]
        while todo:
            directory, folder, path, state = todo.pop()
            assert directory.children is not None
            for name, child, hidden, child_state in self._listed(folder, path, state):
                directory.children[name] = child
                if not child.is_directory:
                    continue
                pending = (f"{folder}/{name}", f"{path}/{name}" if path else name, child_state)
                self._held.append(child)
                if hidden:
                    bare.append((directory.children, name, child))
                    todo.append((child, *pending))
                else:
                    self._unread[id(child)] = pending
        for siblings, name, child in reversed(bare):
            if not child.children:
                del siblings[name]

    def _listed(
        self, folder: str, path: str, state: tuple[bool, ...] | None
    ) -> Iterator[tuple[str, Node, bool, tuple[bool, ...] | None]]:
        """``(name, node, hidden, state)`` of what may be there for the build."""
        try:
            names = sorted(os.listdir(folder))
        except OSError as cause:
            raise ContextError(f"{folder[:300]} cannot be read: {cause.strerror}") from cause
        for name in names:
            below = f"{path}/{name}" if path else name
            hidden, child_state = False, None
            if self._filter.check is not None:
                hidden, child_state = self._filter.check(below, state)
            if hidden and not self._filter.may_include_below(below):
                continue
            child = self._node(f"{folder}/{name}")
            if child is not None and (child.is_directory or not hidden):
                yield name, child, hidden, child_state

    def _node(self, place: str) -> Node | None:
        try:
            info = os.lstat(place)
        except FileNotFoundError:
            return None
        except OSError as cause:
            raise ContextError(f"{place[:300]} cannot be read: {cause.strerror}") from cause
        kind = _KINDS.get(stat.S_IFMT(info.st_mode))
        if kind is None:  # a socket has no place in a layer
            return None
        linked = info.st_nlink > 1 and kind is not Kind.DIRECTORY
        if linked and (info.st_dev, info.st_ino) in self._links:
            return self._links[info.st_dev, info.st_ino]
        node = Node(
            kind,
            info.st_mode & 0o7777,
            mtime=int(info.st_mtime // 1),
            size=info.st_size if kind is Kind.FILE else 0,
            link=os.readlink(place) if kind is Kind.SYMLINK else "",
            device=(os.major(info.st_rdev), os.minor(info.st_rdev)) if kind in (Kind.CHARACTER, Kind.BLOCK) else (0, 0),
            xattrs=travelling_xattrs(place) if kind in (Kind.FILE, Kind.DIRECTORY) else (),
            content=FileContent(place),
        )
        if linked:
            self._links[info.st_dev, info.st_ino] = node
        return node


def travelling_xattrs(path: str) -> Xattrs:
    """File capabilities and user attributes; labels of this machine's security modules stay here."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return tuple(
            (name, os.getxattr(path, name, follow_symlinks=False))
            for name in sorted(names)
            if name == "security.capability" or (name.startswith("user.") and not name.startswith("user.overlay."))
        )
    except OSError:
        return ()
