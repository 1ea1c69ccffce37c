"""Names inside a root, walked so that nothing in the root can lead out of it.

The walk opens one component after the other with O_PATH and O_NOFOLLOW and follows symbolic links itself, as text, with
the root as ``/`` and as the parent of itself. That is what openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) does, but it
needs no Linux 5.6, and it can make what is missing on the way. Nobody else writes in the root while it is prepared.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from gazami.values import fast_dataclass

FileType = Literal["directory", "file"]
Names = tuple[str, ...]
_MOST_LINKS = 40


@fast_dataclass(frozen=True, slots=True)
class PathFd:
    """An O_PATH descriptor and the canonical names that lead to it from the root."""

    fd: int
    names: Names

    @property
    def proc(self) -> str:
        """A path that means exactly this file, for calls that take only paths."""
        return f"/proc/self/fd/{self.fd}"

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(os.fstat(self.fd).st_mode)

    def __enter__(self) -> PathFd:
        return self

    def __exit__(self, *reason: object) -> None:
        os.close(self.fd)


@contextmanager
def opened(path: str, flags: int = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd: int | None = None) -> Iterator[int]:
    """A descriptor, closed on exec, of a directory that is no link, or what ``flags`` ask for."""
    fd = os.open(path, flags | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


OnMake = Callable[[PathFd, str, FileType], None]
"""Called before something is made: the parent, the name, the type."""


def parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def walk(root: int, path: str, make: FileType | None = None, on_make: OnMake | None = None) -> PathFd:
    """Open ``path`` inside ``root``. What is missing is made when ``make`` is given: directories 0755, the last one as asked.

    Raises FileNotFoundError, NotADirectoryError, or OSError ELOOP.
    """
    todo = parts(path)[::-1]
    stack: list[tuple[str, int]] = []
    links = 0
    try:
        while todo:
            name = todo.pop()
            if name == "..":
                if stack:
                    os.close(stack.pop()[1])
                continue
            here = stack[-1][1] if stack else root
            try:
                fd = _open(name, here)
            except FileNotFoundError:
                if make is None:
                    raise
                file_type: FileType = "directory" if todo else make
                if on_make is not None:
                    on_make(PathFd(here, tuple(part for part, _ in stack)), name, file_type)
                _make(name, here, file_type)
                fd = _open(name, here)
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                stack.append((name, fd))
                continue
            target = os.readlink("", dir_fd=fd)
            os.close(fd)
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                _close(stack)
            todo.extend(parts(target)[::-1])
        names = tuple(part for part, _ in stack)
        last = stack.pop()[1] if stack else os.open(".", os.O_PATH | os.O_CLOEXEC, dir_fd=root)
        return PathFd(last, names)
    finally:
        _close(stack)


def read_text(root: int, path: str, limit: int) -> str | None:
    """A regular file of at most ``limit`` bytes inside ``root``; None when there is none. Never blocks on a FIFO or device."""
    try:
        found = walk(root, path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise
    with found:
        state = os.fstat(found.fd)
        if not stat.S_ISREG(state.st_mode):
            return None
        if state.st_size > limit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        with open(found.proc, "rb") as file:
            return file.read(limit).decode(errors="replace")


def _open(name: str, here: int) -> int:
    return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)


def _make(name: str, here: int, file_type: FileType) -> None:
    if file_type == "directory":
        os.mkdir(name, 0o755, dir_fd=here)
    else:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=here))


def _close(stack: list[tuple[str, int]]) -> None:
    while stack:
        with suppress(OSError):
            os.close(stack.pop()[1])
