"""Files that a build is asked for: they appear whole under their own name, and nothing else is written.

The folder of an output may be a checkout, and so its author's. A new file gets a random name that no other can have (O_EXCL), and
is renamed over the final name: a symlink there is replaced, never followed. Where nothing can be renamed over, it writes in place:
a pipe, a device, a file that is mounted (``/dev/termination-log`` of a pod), one in a folder that takes no new files, and the
descriptors of this process (``/dev/stdout``), which are symlinks by design.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_IN_PLACE = os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_DESCRIPTOR = re.compile(r"/dev/(stdout|stderr|fd/\d+)\Z|/proc/(self|\d+)/fd/\d+\Z")
_NO_NEW_FILES = (errno.EACCES, errno.EPERM, errno.EROFS)
_MOUNTED = (errno.EBUSY, errno.EXDEV)


@contextlib.contextmanager
def output_file(path: Path, mode: int = 0o666, *, like_the_old: bool = False) -> Iterator[BinaryIO]:
    """A file to write, there once the block has ended well. ``mode`` is before the umask; ``like_the_old`` takes mode and
    owner of the file that it replaces. Raises OSError."""
    if is_descriptor(str(path)):
        with open(path, "wb") as file:
            yield file
        return
    with OutputFolder(path.parent) as folder, folder.file(path.name, mode, like_the_old=like_the_old) as file:
        yield file


def is_descriptor(path: str) -> bool:
    """Whether a path names an open file of a process, such as ``/dev/stdout``."""
    return _DESCRIPTOR.match(os.path.abspath(path)) is not None


def write_output(path: Path, data: bytes, mode: int = 0o666, *, like_the_old: bool = False) -> None:
    """Raises OSError."""
    with output_file(path, mode, like_the_old=like_the_old) as file:
        file.write(data)


def own_directory(path: Path) -> Path:
    """Make a directory of a layout, with its parents. Raises :class:`NotADirectoryError` for a symlink in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir()
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "is a symlink or a file where a directory should be", str(path))
    return path


class OutputFolder:
    """A directory that files are written to, held open: it stays the same one if it is renamed meanwhile."""

    def __init__(self, path: Path, *, follow: bool = True) -> None:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        self._fd = os.open(path, flags)

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, *reason: object) -> None:
        os.close(self._fd)

    def has_file(self, name: str, size: int) -> bool:
        """Whether a regular file of that size bears the name itself."""
        info = self._old(name)
        return info is not None and stat.S_ISREG(info.st_mode) and info.st_size == size

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, which is not followed if it is a link. Raises OSError."""
        with self._opened(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0) as file:
            while chunk := file.read(1 << 20):
                yield chunk

    def put(self, name: str, data: bytes) -> None:
        with self.file(name) as file:
            file.write(data)

    @contextlib.contextmanager
    def file(self, name: str, mode: int = 0o666, *, like_the_old: bool = False) -> Iterator[BinaryIO]:
        old = self._old(name)
        if old is not None and not (stat.S_ISREG(old.st_mode) or stat.S_ISLNK(old.st_mode)):
            with self._opened(name, _IN_PLACE, mode) as file:  # a directory is an error here
                yield file
            return
        part = f".gazami-{os.urandom(12).hex()}"
        try:
            opened = self._opened(part, _NEW, mode)
        except OSError as cause:
            if cause.errno not in _NO_NEW_FILES or old is None:
                raise
            opened = self._opened(name, _IN_PLACE, mode)
            part = ""
        try:
            with opened as file:
                yield file
                if part and like_the_old and old is not None and stat.S_ISREG(old.st_mode):
                    _give_attributes(file.fileno(), old)
            if part:
                self._move(part, name, mode)
                part = ""
        finally:
            if part:
                os.unlink(part, dir_fd=self._fd)

    def _move(self, part: str, name: str, mode: int) -> None:
        try:
            os.rename(part, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError as cause:
            if cause.errno not in _MOUNTED:
                raise
            import shutil

            reading = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            with self._opened(part, reading, mode) as whole, self._opened(name, _IN_PLACE, mode) as file:
                shutil.copyfileobj(whole, file, 1 << 20)
            os.unlink(part, dir_fd=self._fd)

    def _old(self, name: str) -> os.stat_result | None:
        try:
            return os.lstat(name, dir_fd=self._fd)
        except FileNotFoundError:
            return None

    def _opened(self, name: str, flags: int, mode: int) -> BinaryIO:
        fd = os.open(name, flags, mode, dir_fd=self._fd)
        return open(fd, "rb" if flags & os.O_ACCMODE == os.O_RDONLY else "wb")


def _give_attributes(fd: int, old: os.stat_result) -> None:
    with contextlib.suppress(OSError):
        os.fchown(fd, old.st_uid, old.st_gid)
    with contextlib.suppress(OSError):
        os.fchmod(fd, stat.S_IMODE(old.st_mode) & 0o777)
