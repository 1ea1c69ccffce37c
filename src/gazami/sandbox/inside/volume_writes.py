"""Volumes of the container that stay where they are while a command has its root (the ``inplace`` mode).

They are not part of the image, and no layer holds what a command writes there. A command that names one of them therefore runs in
another mode, and one that made or removed files on a volume without naming it fails. A file that was there before may be written to
meanwhile: others do that, to logs and signs of life (an agent's, a runner's). It is said, for it may have been the command, and the
layer is in no cache, so that it is said each time: no image lacks files silently. Standard library only.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress

from gazami.errors import SandboxError
from gazami.sandbox.spec import FileMount, RunSpec

Listing = dict[str, tuple[int, ...]]
"""By path its inode, mode, user and group, and of files their size and times: those of directories change by files which come and
go in between."""

_WHICH = 4
"""How many of these say which file it is; the others, what is in it."""


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
                what: tuple[int, ...] = (info.st_ino, info.st_mode, info.st_uid, info.st_gid)
                if stat.S_ISDIR(info.st_mode):
                    todo.append(entry.path)
                else:
                    what = (*what, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
                found[entry.path] = what
    return found


def check(before: Listing, after: Listing) -> tuple[str, ...]:
    """What is to be said of files that were written to. Raises SandboxError, which names the first file that a command made,
    replaced or removed, or gave another mode or owner."""
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    other = [path for path in changed if before.get(path, ())[:_WHICH] != after.get(path, ())[:_WHICH]]
    if other:
        raise SandboxError(
            f"the step changed {_listed(other)}, on a volume of this container: it would be missing from the image",
            hint="Mount the volume below /kaniko, or give --isolation=chroot: then the step has the image's own files there.",
        )
    if not changed:
        return ()
    text = f"while the step ran, {_listed(changed)} was written to, on a volume of this container"
    return (f"{text}: the image lacks what the step wrote there",)


def _listed(paths: list[str]) -> str:
    return paths[0] + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
