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
import sys

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
