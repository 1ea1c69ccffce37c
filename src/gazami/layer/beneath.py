"""Files below a directory that is not trusted, reached by descriptors alone. Standard library only.

A path is opened component by component with O_NOFOLLOW, so a symbolic link on the way is an error (ELOOP or ENOTDIR) and never a
way out, even if names are exchanged meanwhile. It is what openat2(2) does with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, on kernels
that lack it too.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import BinaryIO

from gazami.layer.entry import FileContent

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 48
"""How many directories a removal holds open; deeper ones are moved up first."""


class Beneath:
    """The files below ``directory``, which must be a directory itself and no link to one. The directory of the file that was
    opened last stays open, so neighbours cost one call. One thread uses it; close it."""

    def __init__(self, directory: str) -> None:
        self._root = os.open(directory, _DIRECTORY)
        self._parent, self._fd = "", self._root

    def __enter__(self) -> Beneath:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def open(self, path: str, flags: int) -> int:
        """Open a relative path. Raises OSError."""
        return os.open(self._entered(path), flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)

    def stat(self, path: str) -> os.stat_result:
        """What is at a relative path, no link followed. Raises OSError."""
        return os.stat(self._entered(path), dir_fd=self._fd, follow_symlinks=False)

    def _entered(self, path: str) -> str:
        """The name of a path in its directory, which is open now."""
        parent, _, name = path.rpartition("/")
        if parent != self._parent:
            self._leave()
            self._fd = open_directory(self._root, parent)
            self._parent = parent
        return name or "."

    def close(self) -> None:
        self._leave()
        os.close(self._root)

    def _leave(self) -> None:
        if self._fd != self._root:
            os.close(self._fd)
        self._parent, self._fd = "", self._root


def open_directory(folder: int, path: str) -> int:
    """An O_PATH descriptor of the directory ``path`` below the directory ``folder``; no link is followed. Raises OSError."""
    fd = os.open(".", _DIRECTORY, dir_fd=folder)
    for name in path.split("/"):
        if name in ("", "."):
            continue
        if name == "..":
            os.close(fd)
            raise OSError(errno.ELOOP, "the path leads out of its directory", path)
        try:
            deeper = os.open(name, _DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        fd = deeper
    return fd


class FileOpener:
    """Opens the files of :class:`FileContent`, one after the other; a context manager."""

    def __init__(self) -> None:
        self._folders: dict[str, Beneath] = {}

    def __enter__(self) -> FileOpener:
        return self

    def __exit__(self, *reason: object) -> None:
        while self._folders:
            self._folders.popitem()[1].close()

    def open(self, content: FileContent) -> int:
        """A descriptor for reading. Raises OSError: ESTALE when another file, or something that is no file, is there by now."""
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        if content.beneath:
            folder = self._folders.get(content.beneath)
            if folder is None:
                folder = self._folders[content.beneath] = Beneath(content.beneath)
            fd = folder.open(content.path, flags)
        else:
            fd = os.open(content.path, flags)
        info = os.fstat(fd)
        if stat.S_ISREG(info.st_mode) and content.identity in (None, (info.st_dev, info.st_ino)):
            return fd
        os.close(fd)
        raise OSError(errno.ESTALE, "another file has taken its place", content.path)


def open_content(content: FileContent) -> BinaryIO:
    """The file of a content, positioned at its first byte. Raises OSError as :meth:`FileOpener.open`."""
    with FileOpener() as opener:
        file = open(opener.open(content), "rb", buffering=0)  # noqa: SIM115
    file.seek(content.offset)
    return file


def remove_tree(path: str) -> None:
    """Remove a file or a directory with all that is in it, however deep; what cannot be removed stays. Raises nothing."""
    parent, _, name = path.rpartition("/")
    with suppress(OSError):
        top = os.open(parent or ("/" if path.startswith("/") else "."), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            remove_below(top, name)
        finally:
            os.close(top)


def remove_below(folder: int, name: str) -> None:
    """Remove what ``name`` in the directory ``folder`` is. Raises nothing."""
    moved: list[str] = []
    _remove(folder, name, folder, moved, 0)
    while moved:
        _remove(folder, moved.pop(), folder, moved, 0)


def _remove(folder: int, name: str, top: int, moved: list[str], depth: int) -> None:
    """``moved`` are names in ``top`` under which directories that lay too deep wait for their turn."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        return
    try:
        with os.scandir(fd) as found:
            entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
        for below, is_directory in entries:
            if not is_directory:
                with suppress(OSError):
                    os.unlink(below, dir_fd=fd)
            elif depth < _DEEPEST:
                _remove(fd, below, top, moved, depth + 1)
            else:
                _move_up(fd, below, top, moved)
    except OSError:
        pass
    finally:
        os.close(fd)
    with suppress(OSError):
        os.rmdir(name, dir_fd=folder)


def _move_up(folder: int, name: str, top: int, moved: list[str]) -> None:
    with suppress(OSError):
        os.rmdir(name, dir_fd=folder)
        return
    aside = f".gazami-{os.getpid()}-{len(moved)}-{os.urandom(4).hex()}"
    with suppress(OSError):
        os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=top)
        moved.append(aside)
