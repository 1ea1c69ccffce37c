"""Delete a directory with all that is in it, however deep it is and whatever its symlinks say.

Theory of operation: ``shutil.rmtree`` needs a frame and a descriptor for each level, so that a few thousand nested directories
of an image or a step stop it. Here a directory below the top is emptied of its files, and its own directories are moved up,
next to it, before it is removed. Each directory moves once, two descriptors are open at any time, and nothing is followed.
Standard library only: the fork server imports this.
"""

from __future__ import annotations

import contextlib
import os
import stat

_NOFOLLOW = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str, *, ignore_errors: bool = False) -> None:
    """Raises :class:`OSError` for what cannot be deleted; with ``ignore_errors`` the rest goes all the same."""
    try:
        top = os.open(path, _NOFOLLOW)
    except OSError:
        if ignore_errors:
            return
        raise
    try:
        _Removal(top, ignore_errors).run()
    finally:
        os.close(top)
    with contextlib.suppress(OSError) if ignore_errors else contextlib.nullcontext():
        os.rmdir(path)


class _Removal:
    def __init__(self, top: int, ignore_errors: bool) -> None:
        self._top, self._ignore = top, ignore_errors
        self._names = f".{os.urandom(8).hex()}-"
        self._moved = 0

    def run(self) -> None:
        todo = self._without_files(self._top)
        while todo:
            name = todo.pop()
            with self._tolerated():
                directory = os.open(name, _NOFOLLOW, dir_fd=self._top)
                try:
                    for below in self._without_files(directory):
                        with self._tolerated():
                            todo += self._moved_up(directory, below)
                finally:
                    os.close(directory)
                os.rmdir(name, dir_fd=self._top)

    def _moved_up(self, directory: int, name: str) -> list[str]:
        """The directory's name below the top; none when it was empty and is gone."""
        try:
            os.rmdir(name, dir_fd=directory)
        except OSError:
            self._moved += 1
            new = f"{self._names}{self._moved}"
            os.rename(name, new, src_dir_fd=directory, dst_dir_fd=self._top)
            return [new]
        return []

    def _without_files(self, directory: int) -> list[str]:
        """Delete what is not a directory; the names of the directories."""
        found: list[str] = []
        for name in os.listdir(directory):
            with self._tolerated():
                if stat.S_ISDIR(os.lstat(name, dir_fd=directory).st_mode):
                    found.append(name)
                else:
                    os.unlink(name, dir_fd=directory)
        return found

    def _tolerated(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.suppress(OSError) if self._ignore else contextlib.nullcontext()
