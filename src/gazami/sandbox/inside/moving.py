"""Moving files to where they are needed: a rename, or entry by entry where a rename cannot be. Standard library only.

What is moved may be a step's: everything is named by an open directory and one name in it, and no link is followed.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from gazami.sandbox.inside.paths import opened

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_CHUNK = 1 << 20
_DEEPEST = 200


def move(source: str, target: str) -> None:
    """:func:`move_entry` for two paths, of which only the last names may be somebody else's."""
    above, name = os.path.split(source)
    beyond, other = os.path.split(target)
    flags = os.O_PATH | os.O_DIRECTORY
    with opened(above, flags) as folder, opened(beyond, flags) as into:
        move_entry(folder, name, into, other)


def move_entry(folder: int, name: str, into: int, other: str, depth: int = 0) -> None:
    """rename(2) of ``name`` in one directory to ``other``, which does not exist, in another. Across mounts, and for
    directories in a lower layer of an overlay, everything is made anew with its owner, mode, times and attributes. Raises
    OSError, with everything where it was: EBUSY when something is mounted below and it cannot be renamed as a whole.
    """
    try:
        os.rename(name, other, src_dir_fd=folder, dst_dir_fd=into)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISDIR(info.st_mode):
        _move_directory(folder, name, into, other, info, depth)
    elif stat.S_ISREG(info.st_mode):
        _copy_file(folder, name, into, other, info)
        os.unlink(name, dir_fd=folder)
    else:
        if stat.S_ISLNK(info.st_mode):
            os.symlink(os.readlink(name, dir_fd=folder), other, dir_fd=into)
        else:
            os.mknod(other, info.st_mode, info.st_rdev, dir_fd=into)
        _take_attributes(into, other, info)
        os.unlink(name, dir_fd=folder)


def _move_directory(folder: int, name: str, into: int, other: str, info: os.stat_result, depth: int) -> None:
    if depth > _DEEPEST:
        raise OSError(errno.ENAMETOOLONG, "directories are nested too deeply to be copied", name)
    with opened(name, _DIRECTORY, folder) as source:
        os.mkdir(other, 0o700, dir_fd=into)
        with opened(other, _DIRECTORY, into) as target:
            try:
                _move_contents(source, target, info, depth)
                os.rmdir(name, dir_fd=folder)
            except OSError:
                for each in os.listdir(target):
                    move_entry(target, each, source, each, depth + 1)
                _take_directorys(target, source, info)
                os.rmdir(other, dir_fd=into)
                raise


def _move_contents(source: int, target: int, info: os.stat_result, depth: int) -> None:
    for each in os.listdir(source):
        move_entry(source, each, target, each, depth + 1)
    _take_directorys(source, target, info)


def _take_directorys(source: int, target: int, info: os.stat_result) -> None:
    os.fchown(target, info.st_uid, info.st_gid)
    _copy_xattrs(source, target)
    os.fchmod(target, stat.S_IMODE(info.st_mode))
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def _copy_file(folder: int, name: str, into: int, other: str, info: os.stat_result) -> None:
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with open(source, "rb", buffering=0) as reader:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        target = os.open(other, flags, 0o600, dir_fd=into)
        with open(target, "wb", buffering=0) as writer:
            while data := reader.read(_CHUNK):
                view = memoryview(data)
                while view:
                    view = view[writer.write(view) or 0 :]
            os.fchown(target, info.st_uid, info.st_gid)  # first: it takes set-id bits and file capabilities away
            _copy_xattrs(source, target)
            os.fchmod(target, stat.S_IMODE(info.st_mode))
            os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def _copy_xattrs(source: int, target: int) -> None:
    with suppress(OSError):
        for name in os.listxattr(source):
            with suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name))


def _take_attributes(into: int, name: str, info: os.stat_result) -> None:
    """Of a link or a node that was just made."""
    os.chown(name, info.st_uid, info.st_gid, dir_fd=into, follow_symlinks=False)
    if not stat.S_ISLNK(info.st_mode):
        os.chmod(name, stat.S_IMODE(info.st_mode), dir_fd=into)
    os.utime(name, ns=(info.st_atime_ns, info.st_mtime_ns), dir_fd=into, follow_symlinks=False)
