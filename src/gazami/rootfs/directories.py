"""Directories of stages, mounts and caches, made, moved and removed by the namespace's root: requests for a sandbox.

Their parents are folders of the build that no step has, yet what lies in them a step may have left. Standard library only.
"""

from __future__ import annotations

import os
from contextlib import suppress

from gazami.layer.beneath import remove_tree
from gazami.values import fast_dataclass

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@fast_dataclass(frozen=True, slots=True)
class MakeDirectories:
    """One that is there must be a directory, and no link to one: else OSError."""

    paths: tuple[str, ...]
    mode: int = 0o755
    uid: int = 0
    gid: int = 0

    def run(self, input_fd: int | None, output_fd: int | None) -> None:
        for path in self.paths:
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            with suppress(FileExistsError):
                os.mkdir(path, 0o700)
            fd = os.open(path, _DIRECTORY)
            try:
                os.fchown(fd, self.uid, self.gid)
                os.fchmod(fd, self.mode)
            finally:
                os.close(fd)


@fast_dataclass(frozen=True, slots=True)
class MoveDirectory:
    """Rename a directory, making the target's parents."""

    source: str
    target: str

    def run(self, input_fd: int | None, output_fd: int | None) -> None:
        os.makedirs(os.path.dirname(self.target), 0o755, exist_ok=True)
        os.rename(self.source, self.target)


@fast_dataclass(frozen=True, slots=True)
class RemoveTrees:
    """Delete files and directories that only the namespace's root may delete."""

    paths: tuple[str, ...]

    def run(self, input_fd: int | None, output_fd: int | None) -> None:
        for path in self.paths:
            remove_tree(path)
