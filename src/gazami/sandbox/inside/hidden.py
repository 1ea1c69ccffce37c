"""Files that are away while commands run: read, unlinked, and put back afterwards. Standard library only.

The bytes are kept by two processes, the builder and its fork server. Each puts back what is missing when it ends, so that
killing one of them loses nothing. A command may have put links where the directories were, so none is followed on the way back.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class HiddenFiles:
    """``paths`` are files of this process's root; those that cannot be read are left alone."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._files: dict[str, tuple[bytes, os.stat_result]] = {}
        for path in paths:
            with suppress(OSError), open(real := os.path.realpath(path), "rb") as file:
                self._files[real] = file.read(), os.fstat(file.fileno())

    def unlink(self) -> None:
        for path in list(self._files):
            try:
                os.unlink(path)
            except OSError:
                del self._files[path]

    def restore(self) -> None:
        """Put every file back as it was, unless another has its path or its directory is no directory any more."""
        for path, (data, info) in self._files.items():
            with suppress(OSError):
                _write(path, data, info)


def _write(path: str, data: bytes, info: os.stat_result) -> None:
    *above, name = [part for part in path.split("/") if part]
    folder = os.open("/", _DIRECTORY)
    try:
        for part in above:
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=folder)
            deeper = os.open(part, _DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = deeper
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=folder)
    finally:
        os.close(folder)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fchown(fd, info.st_uid, info.st_gid)
        os.fchmod(fd, stat.S_IMODE(info.st_mode))
        os.utime(fd, ns=(info.st_atime_ns, info.st_mtime_ns))
