"""Moving files to where they are needed: a rename, or entry by entry where a rename cannot be. Standard library only."""

from __future__ import annotations

import errno
import os
import shutil
import stat


def move(source: str, target: str) -> None:
    """rename(2) of a path to one that does not exist. Across file systems, and for directories in a lower layer of an
    overlay, everything is made anew at ``target`` with its owner, mode, times and attributes; what is a mount point below is EBUSY.
    """
    try:
        os.rename(source, target)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    info = os.lstat(source)
    if stat.S_ISDIR(info.st_mode):
        os.mkdir(target, 0o700)
        for name in os.listdir(source):
            move(f"{source}/{name}", f"{target}/{name}")
        _take_attributes(source, target, info)
        os.rmdir(source)
        return
    if stat.S_ISLNK(info.st_mode) or stat.S_ISREG(info.st_mode):
        shutil.copyfile(source, target, follow_symlinks=False)
    else:
        os.mknod(target, info.st_mode, info.st_rdev)
    _take_attributes(source, target, info)
    os.unlink(source)


def _take_attributes(source: str, target: str, info: os.stat_result) -> None:
    """The owner first, since changing it takes set-id bits and file capabilities away."""
    os.chown(target, info.st_uid, info.st_gid, follow_symlinks=False)
    shutil.copystat(source, target, follow_symlinks=False)
