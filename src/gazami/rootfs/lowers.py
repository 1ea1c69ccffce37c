"""Directories of the layers below, as overlay shows them: the topmost that has a name wins, unless a layer above hides it.

They are opened before a process enters its root (:mod:`.inside`). Standard library only.
"""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterable
from contextlib import suppress

from gazami.layer.beneath import open_directory
from gazami.layer.recorded_owner import ATTRIBUTE, Recorded, decode

_CHUNK = 1 << 20
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_lowers(directories: Iterable[str]) -> tuple[Lower, ...]:
    """Descriptors of as many layers as there are; the soft limit of open files is raised for that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return tuple(Lower(each) for each in directories)


def find(lowers: Iterable[Lower], relative: str, opaque: str) -> tuple[Lower, os.stat_result] | None:
    """The topmost layer that has something at a literal path, None where it is absent or hidden. ``opaque`` is the name of the
    attribute of a directory that hides those of the layers below."""
    parts = relative.split("/")
    for lower in lowers:
        for count in range(1, len(parts) + 1):
            info = lower.stat("/".join(parts[:count]))
            if info is None:
                break
            if is_whiteout(info):
                return None
            if count == len(parts):
                return lower, info
            if not stat.S_ISDIR(info.st_mode):
                return None
        above = ("/".join(parts[:length]) for length in range(1, count))
        if any(lower.is_opaque(path, opaque) for path in above):
            return None
    return None


def is_whiteout(info: os.stat_result) -> bool:
    """Whether this is overlay's mark of a deleted name."""
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


class Lower:
    """The directory of a layer, opened before this process enters its root. Names in it are looked up literally: a symbolic
    link on the way is as good as nothing."""

    def __init__(self, directory: str) -> None:
        self._fd = os.open(directory, _DIRECTORY)

    def stat(self, path: str) -> os.stat_result | None:
        """What is at a path, no link followed; None when nothing is."""
        with _Parent(self._fd, path) as (folder, name):
            return None if folder is None else _stat(name, folder)

    def is_opaque(self, path: str, attribute: str) -> bool:
        return self._xattr(path, attribute) == b"y"

    def owner(self, path: str) -> Recorded | None:
        """The recorded owner of a file or directory (:mod:`gazami.layer.recorded_owner`)."""
        value = self._xattr(path, ATTRIBUTE)
        return None if value is None else decode(value)

    def readlink(self, path: str) -> str:
        with _Parent(self._fd, path) as (folder, name):
            if folder is None:
                raise FileNotFoundError(path)
            return os.readlink(name, dir_fd=folder)

    def open(self, path: str) -> int:
        """A regular file for reading. Raises OSError."""
        with _Parent(self._fd, path) as (folder, name):
            if folder is None:
                raise FileNotFoundError(path)
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)

    def _xattr(self, path: str, attribute: str) -> bytes | None:
        with _Parent(self._fd, path) as (folder, name), suppress(OSError):
            info = None if folder is None else _stat(name, folder)
            if info is None or not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
                return None  # nothing else is opened: to open a device does something
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            try:
                return os.getxattr(fd, attribute)
            finally:
                os.close(fd)
        return None


def copy_file(source: int, target: str, ours: tuple[str, ...]) -> None:
    """Copy an open file, which is closed, to a new one; ``ours`` are how attributes begin that are left out."""
    with open(source, "rb", buffering=0) as reader:
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb", buffering=0) as writer:
            while data := reader.read(_CHUNK):
                view = memoryview(data)
                while view:
                    view = view[writer.write(view) or 0 :]
            for name in os.listxattr(source):
                if not name.startswith(ours):
                    with suppress(OSError):
                        os.setxattr(fd, name, os.getxattr(source, name))


class _Parent:
    """The descriptor of the directory that holds a path, None when there is none, and the last name."""

    def __init__(self, root: int, path: str) -> None:
        parent, _, self._name = path.rpartition("/")
        self._fd: int | None = None
        with suppress(OSError):
            self._fd = open_directory(root, parent)

    def __enter__(self) -> tuple[int | None, str]:
        return self._fd, self._name

    def __exit__(self, *reason: object) -> None:
        if self._fd is not None:
            os.close(self._fd)


def _stat(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None


def lstat(path: str) -> os.stat_result | None:
    """What is at a path, no link followed; None when nothing is."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
