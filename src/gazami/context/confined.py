"""Files of a folder that is not trusted: a checkout of a pull request, an archive, a repository.

Symlinks are followed as long as they stay in the folder, as BuildKit follows them, and nothing but a regular file is read. The file
opened is the file checked: the path without its links is walked by descriptors, and a link that appears later is an error.
"""

from __future__ import annotations

import errno
import os
import stat

from gazami.errors import ContextError
from gazami.layer.beneath import open_directory

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def lies_in(folder: str, path: str) -> bool:
    """Whether a path is written as one of the folder, by the folder's own name or by the one without links."""
    name = os.path.abspath(path)
    return any(os.path.commonpath([root, name]) == root for root in (os.path.abspath(folder), os.path.realpath(folder)))


def read_inside(folder: str, path: str, limit: int) -> bytes | None:
    """At most ``limit`` bytes of a file of the folder, None where there is none.

    Raises :class:`ContextError` for one that a symlink leads out of it, that is no file, or that cannot be read.
    """
    root, real = os.path.realpath(folder), os.path.realpath(path)
    shown = os.path.relpath(os.path.abspath(path), os.path.abspath(folder))
    shown = path if shown.startswith("..") else shown
    if os.path.commonpath([root, real]) != root:
        if not os.path.lexists(path) and not os.path.lexists(real):
            return None
        raise ContextError(
            f"{shown} of {folder} is a symlink that leads out of it", hint="copy the file there: gazami reads nothing outside of it"
        )
    try:
        return _read(root, os.path.relpath(real, root), shown, limit)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as cause:
        what = (
            "is a symlink loop, or was replaced while it was read"
            if cause.errno == errno.ELOOP
            else f"cannot be read: {cause.strerror}"
        )
        raise ContextError(f"{shown} {what}") from cause


def _read(root: str, path: str, shown: str, limit: int) -> bytes:
    parent, _, name = path.rpartition("/")
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        directory = open_directory(top, parent)
    finally:
        os.close(top)
    try:
        fd = os.open(name, _READ, dir_fd=directory)
    finally:
        os.close(directory)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ContextError(f"{shown} is not a regular file")
        return file.read(limit)
