"""Work on the files of a root as a process that sees nothing else: what the fork server's handlers do first.

A root that a step has had is hostile for ever: names in it may lead anywhere and may change while they are read. A handler
makes the root its own ``/`` before it looks at a single name, so that no path and no symbolic link, however it is exchanged, leads
to a file of the builder (moby's ``chrootarchive`` and CVE-2019-14271 are why). Every mode that has roots has CAP_SYS_CHROOT, and
where a seccomp filter refuses chroot(2) all the same, it has mounts. Nothing is imported any more afterwards: modules would
come from the root. Standard library only.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
import sys
from contextlib import suppress

from gazami.layer.beneath import open_directory
from gazami.layer.recorded_owner import ATTRIBUTE, Recorded, decode

_CLONE_NEWNS, _MS_BIND, _MNT_DETACH = 0x20000, 0x1000, 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(os.uname().machine, 155)
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def enter(directory: str) -> None:
    """Make ``directory`` (a directory, and no link to one) the root of this process, for the rest of its life."""
    root = os.open(directory, _DIRECTORY)
    try:
        os.fchdir(root)
        try:
            os.chroot(".")
        except PermissionError:
            _pivot(directory, os.fstat(root))
    finally:
        os.close(root)
    sys.path.clear()
    sys.meta_path.clear()
    sys.path_hooks.clear()


def _pivot(directory: str, info: os.stat_result) -> None:
    """Make a directory the root of this process's own mount namespace. Raises OSError."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    path = os.fsencode(directory)

    def check(result: int, what: str) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {os.strerror(number)}", directory)

    check(libc.unshare(_CLONE_NEWNS), "unshare")
    check(libc.mount(path, path, None, ctypes.c_ulong(_MS_BIND), None), "mount")
    os.chdir(directory)
    if not os.path.samestat(os.stat("."), info):
        raise OSError(errno.ESTALE, "another directory has taken its place", directory)
    check(libc.syscall(ctypes.c_long(_PIVOT_ROOT), b".", b"."), "pivot_root")
    check(libc.umount2(b".", _MNT_DETACH), "umount")
    os.chdir("/")


class Lower:
    """A directory of another layer, opened before this process enters its root. Names in it are looked up literally: a symbolic
    link on the way is as good as nothing."""

    def __init__(self, directory: str) -> None:
        self._fd = os.open(directory, _DIRECTORY)

    def stat(self, path: str) -> os.stat_result | None:
        """What is at a path, no link followed; None when nothing is."""
        with _Parent(self._fd, path) as (folder, name):
            return None if folder is None else _stat(name, folder)

    def is_opaque(self, path: str, attribute: str) -> bool:
        return self._xattr(path, attribute) == b"y"

    def owner(self, path: str) -> Recorded | None:
        """The recorded owner of a file or directory (:mod:`gazami.layer.recorded_owner`)."""
        value = self._xattr(path, ATTRIBUTE)
        return None if value is None else decode(value)

    def readlink(self, path: str) -> str:
        with _Parent(self._fd, path) as (folder, name):
            if folder is None:
                raise FileNotFoundError(path)
            return os.readlink(name, dir_fd=folder)

    def open(self, path: str) -> int:
        """A regular file for reading. Raises OSError."""
        with _Parent(self._fd, path) as (folder, name):
            if folder is None:
                raise FileNotFoundError(path)
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)

    def _xattr(self, path: str, attribute: str) -> bytes | None:
        with _Parent(self._fd, path) as (folder, name), suppress(OSError):
            info = None if folder is None else _stat(name, folder)
            if info is None or not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
                return None  # nothing else is opened: to open a device does something
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            try:
                return os.getxattr(fd, attribute)
            finally:
                os.close(fd)
        return None


class _Parent:
    """The descriptor of the directory that holds a path, None when there is none, and the last name."""

    def __init__(self, root: int, path: str) -> None:
        parent, _, self._name = path.rpartition("/")
        self._fd: int | None = None
        with suppress(OSError):
            self._fd = open_directory(root, parent)

    def __enter__(self) -> tuple[int | None, str]:
        return self._fd, self._name

    def __exit__(self, *reason: object) -> None:
        if self._fd is not None:
            os.close(self._fd)


def _stat(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None


def open_lowers(directories: list[str]) -> tuple[Lower, ...]:
    """Descriptors of as many layers as there are; the soft limit of open files is raised for that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return tuple(Lower(each) for each in directories)
