"""Volumes of the container that stay where they are while a command has its root (the ``inplace`` mode).

They are not part of the image, and no layer holds what a command writes there. A command that names one of them therefore runs in
another mode, and one that made or removed files on a volume without naming it fails: no image lacks files silently. A file that was
there before may be written to meanwhile: others do that, to logs and signs of life (an agent's, a runner's), and it is no file of
the image. Standard library only.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress

from gazami.errors import SandboxError
from gazami.sandbox.spec import FileMount, RunSpec

Listing = dict[str, tuple[int, int, int, int]]
"""By path its inode, mode, user and group: neither times nor sizes, so that neither what is written to files that stay nor files
which come and go in between count."""


def named(spec: RunSpec, names: Iterable[str]) -> str:
    """The first of the top-level names that a command, its scripts, variables, directory or mounts say as a path, or nothing."""
    scripts = [each.content.decode(errors="replace") for each in spec.mounts if isinstance(each, FileMount)]
    targets = [each.target for each in spec.mounts]
    text = "\0".join([*spec.argv, spec.cwd, *(value for _, value in spec.env), *scripts, *targets])
    return next((name for name in sorted(names) if re.search(rf"(?<![\w.-])/{re.escape(name)}(?![\w.-])", text)), "")


def look(paths: Iterable[str], own: Iterable[str]) -> Listing:
    """What is below ``paths``; the builder's ``own`` files and directories, absolute paths, may change at any time."""
    found: Listing = {}
    ours = frozenset(own)
    todo = [path for path in paths if path not in ours]
    while todo:
        folder = todo.pop()
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.path in ours:
                    continue
                info = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode):
                    todo.append(entry.path)
                found[entry.path] = (info.st_ino, info.st_mode, info.st_uid, info.st_gid)
    return found


def check(before: Listing, after: Listing) -> None:
    """Raises SandboxError, which names the first file that a command made, replaced or removed, or gave another mode or owner."""
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    if not changed:
        return
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    raise SandboxError(
        f"the step changed {changed[0]}{more}, on a volume of this container: it would be missing from the image",
        hint="Mount the volume below /kaniko, or give --isolation=chroot: then the step has the image's own files there.",
    )
