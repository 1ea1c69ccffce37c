"""A folder of this machine as a :class:`Tree` that is read directory by directory, as it is asked for.

Owners are 0:0, as Docker records context files; modes, times, hard links and the extended attributes that travel
(``security.capability``, ``user.*``) are the files' own.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator

from gazami.errors import ContextError
from gazami.layer.beneath import open_directory
from gazami.layer.entry import BytesContent, FileContent, Kind, Xattrs
from gazami.rootfs.tree import Node, Tree

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.FILE,
}
"""A socket becomes an empty file of its mode, as BuildKit has it: a layer has no place for one."""


_WITH_XATTRS = (Kind.FILE, Kind.DIRECTORY)
_HAS_PROC = os.path.isdir("/proc/self/fd")


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
        super().__init__(Node(Kind.DIRECTORY, 0o755))
        self._folder = os.path.realpath(folder)
        self._filter = hide or Filter()
        self._unread: dict[int, tuple[str, tuple[bool, ...] | None]] = {id(self.root): ("", None)}
        self._links: dict[tuple[int, int], Node] = {}
        self._held: list[Node] = [self.root]
        self._lock = threading.RLock()

    @property
    def folder(self) -> str:
        """The real path of the folder."""
        return self._folder

    @property
    def hides(self) -> bool:
        """Whether some paths of the folder may not exist for the build."""
        return self._filter.check is not None

    @property
    def is_as_copied(self) -> bool:
        """Whether the folder itself looks as a copy of it would: nothing is hidden, and root owns it."""
        return not self.hides and os.stat(self._folder).st_uid == 0

    def children_of(self, node: Node) -> dict[str, Node]:
        if id(node) in self._unread:
            with self._lock:
                pending = self._unread.get(id(node))
                if pending is not None:
                    self._load(node, *pending)
                    del self._unread[id(node)]  # not before: other threads read without the lock
        return node.children if node.children is not None else {}

    def _load(self, node: Node, path: str, state: tuple[bool, ...] | None) -> None:
        """Read a directory, and those below it that are hidden: they are there only if something visible is in them."""
        bare: list[tuple[dict[str, Node], str, Node]] = []
        todo = [(node, path, state)]
        while todo:
            directory, path, state = todo.pop()
            assert directory.children is not None
            for name, child, hidden, child_state in self._listed(path, state):
                directory.children[name] = child
                if not child.is_directory:
                    continue
                pending = (f"{path}/{name}" if path else name, child_state)
                self._held.append(child)
                if hidden:
                    bare.append((directory.children, name, child))
                    todo.append((child, *pending))
                else:
                    self._unread[id(child)] = pending
        for siblings, name, child in reversed(bare):
            if not child.children:
                del siblings[name]

    def _listed(self, path: str, state: tuple[bool, ...] | None) -> Iterator[tuple[str, Node, bool, tuple[bool, ...] | None]]:
        """``(name, node, hidden, state)`` of what the build may see. The directory is opened without following a symlink, which may
        have replaced it meanwhile."""
        try:
            fd = open_beneath(self._folder, path)
        except OSError as cause:
            raise self._unreadable(path, cause) from cause
        try:
            for name in sorted(os.listdir(fd)):
                below = f"{path}/{name}" if path else name
                hidden, child_state = False, None
                if self._filter.check is not None:
                    hidden, child_state = self._filter.check(below, state)
                if hidden and not self._filter.may_include_below(below):
                    continue
                child = self._node(fd, name, below)
                if child is not None and (child.is_directory or not hidden):
                    yield name, child, hidden, child_state
        except OSError as cause:
            raise self._unreadable(path, cause) from cause
        finally:
            os.close(fd)

    def _unreadable(self, path: str, cause: OSError) -> ContextError:
        place = f"{self._folder}/{path}".rstrip("/")[:300]
        if cause.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENODATA, errno.ERANGE):
            return ContextError(f"{place} was replaced while it was read", hint="do not change the files during the build")
        return ContextError(f"cannot read {place}: {cause.strerror}")

    def _node(self, directory: int, name: str, path: str) -> Node | None:
        try:
            info = os.lstat(name, dir_fd=directory)
        except FileNotFoundError:
            return None
        kind = _KINDS.get(stat.S_IFMT(info.st_mode))
        if kind is None:
            return None
        linked = info.st_nlink > 1 and kind is not Kind.DIRECTORY
        identity = info.st_dev, info.st_ino
        if linked and identity in self._links:
            return self._links[identity]
        node = Node(
            kind,
            info.st_mode & 0o7777,
            mtime=int(info.st_mtime // 1),
            size=info.st_size if stat.S_ISREG(info.st_mode) else 0,
            link=os.readlink(name, dir_fd=directory) if kind is Kind.SYMLINK else "",
            device=(os.major(info.st_rdev), os.minor(info.st_rdev)) if kind in (Kind.CHARACTER, Kind.BLOCK) else (0, 0),
            xattrs=travelling_xattrs(self._reached(directory, name, path)) if kind in _WITH_XATTRS else (),
            content=self._content(info, path) if kind is Kind.FILE else None,
        )
        if linked:
            self._links[identity] = node
        return node

    def _content(self, info: os.stat_result, path: str) -> FileContent | BytesContent:
        if stat.S_ISSOCK(info.st_mode):
            return BytesContent(b"")
        return FileContent(path, beneath=self._folder, identity=(info.st_dev, info.st_ino))

    def _reached(self, directory: int, name: str, path: str) -> str:
        """A path by which the calls for extended attributes, which take no descriptor, reach a file without following links."""
        return f"/proc/self/fd/{directory}/{name}" if _HAS_PROC else f"{self._folder}/{path}"


def travelling_xattrs(path: str) -> Xattrs:
    """File capabilities and user attributes; labels of this machine's security modules stay here."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return tuple(
            (name, os.getxattr(path, name, follow_symlinks=False))
            for name in sorted(names)
            if name == "security.capability" or (name.startswith("user.") and not name.startswith("user.overlay."))
        )
    except OSError as cause:
        if cause.errno in (errno.ENOTSUP, errno.EACCES, errno.EPERM):
            return ()
        raise


def open_beneath(folder: str, path: str) -> int:
    """A descriptor for reading the directory ``path`` below ``folder``; no link is followed on the way. Raises OSError."""
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        place = open_directory(root, path)
    finally:
        os.close(root)
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)
    finally:
        os.close(place)
