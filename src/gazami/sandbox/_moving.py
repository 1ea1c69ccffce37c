"""Moving files to where they are needed: a rename, or entry by entry where a rename cannot be. Standard library only."""

from __future__ import annotations

import errno
import os
import shutil
import stat


def move(source: str, target: str) -> None:
    """rename(2) of a path to one that does not exist. Across mounts, and for directories in a lower layer of an overlay,
    everything is made anew at ``target`` with its owner, mode, times and attributes. Raises OSError, with everything where it was:
    EBUSY when something is mounted below ``source`` and it cannot be renamed as a whole.
    """
    try:
        os.rename(source, target)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    info = os.lstat(source)
    if stat.S_ISDIR(info.st_mode):
        _move_directory(source, target, info)
        return
    if stat.S_ISLNK(info.st_mode) or stat.S_ISREG(info.st_mode):
        shutil.copyfile(source, target, follow_symlinks=False)
    else:
        os.mknod(target, info.st_mode, info.st_rdev)
    _take_attributes(source, target, info)
    os.unlink(source)


def _move_directory(source: str, target: str, info: os.stat_result) -> None:
    os.mkdir(target, 0o700)
    try:
        for name in os.listdir(source):
            move(f"{source}/{name}", f"{target}/{name}")
        _take_attributes(source, target, info)
        os.rmdir(source)
    except OSError:
        for name in os.listdir(target):
            move(f"{target}/{name}", f"{source}/{name}")
        _take_attributes(target, source, info)
        os.rmdir(target)
        raise


def _take_attributes(source: str, target: str, info: os.stat_result) -> None:
    """The owner first, since changing it takes set-id bits and file capabilities away; the times as they were in ``info``."""
    os.chown(target, info.st_uid, info.st_gid, follow_symlinks=False)
    shutil.copystat(source, target, follow_symlinks=False)
    if not stat.S_ISLNK(info.st_mode):
        os.chmod(target, stat.S_IMODE(info.st_mode))
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)
