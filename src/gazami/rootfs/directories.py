"""Directories of stages, mounts and caches, made, moved and removed by the namespace's root; what the fork server calls.

Their parents are folders of the build that no step has, yet what lies in them a step may have left. Standard library only.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from gazami.layer.beneath import remove_tree

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make(arguments: dict[str, Any], input_fd: int | None, output_fd: int | None) -> dict[str, Any]:
    """Make the directories ``paths``, by default 0755 and the namespace's root's. One that is there must be a directory, and no
    link to one: else OSError."""
    for path in arguments["paths"]:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        fd = os.open(path, _DIRECTORY)
        try:
            os.fchown(fd, arguments.get("uid", 0), arguments.get("gid", 0))
            os.fchmod(fd, arguments.get("mode", 0o755))
        finally:
            os.close(fd)
    return {}


def move(arguments: dict[str, Any], input_fd: int | None, output_fd: int | None) -> dict[str, Any]:
    """Rename a directory, making the target's parents."""
    os.makedirs(os.path.dirname(arguments["target"]), 0o755, exist_ok=True)
    os.rename(arguments["source"], arguments["target"])
    return {}


def remove(arguments: dict[str, Any], input_fd: int | None, output_fd: int | None) -> dict[str, Any]:
    """Delete directories that only the namespace's root may delete."""
    for path in arguments["paths"]:
        remove_tree(path)
    return {}
