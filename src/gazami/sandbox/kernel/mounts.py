"""Bind mounts and what is allowed on a mount, with newer system calls where the kernel has them."""

from __future__ import annotations

import os
from contextlib import suppress

from gazami.sandbox.kernel import linux
from gazami.sandbox.kernel.linux import (
    MS_BIND,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
)


def bind(source: str, target: str, *, recursive: bool = True) -> None:
    """Show ``source`` and, if ``recursive``, what is mounted below it at ``target`` too."""
    linux.mount(source, target, None, MS_BIND | (MS_REC if recursive else 0))


def make_readonly(fd: int) -> None:
    """Make the mount of one file read-only, with what it has besides."""
    with suppress(OSError):
        linux.mount_restrict(fd, linux.MOUNT_ATTR_RDONLY)
        return
    _remount(fd, MS_RDONLY)


def restrict(fd: int, *, readonly: bool) -> None:
    """Let no device be opened through the mount of an O_PATH descriptor, and make it read-only if asked; with those below it
    where the kernel can (Linux ≥ 5.12)."""
    with suppress(OSError):
        linux.mount_restrict(fd, linux.MOUNT_ATTR_NODEV | (linux.MOUNT_ATTR_RDONLY if readonly else 0))
        return
    _remount(fd, MS_NODEV | (MS_RDONLY if readonly else 0))


def _remount(fd: int, wanted: int) -> None:
    """What mount_setattr(2) does, on older kernels."""
    kept = os.fstatvfs(fd).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)
    linux.mount(None, f"/proc/self/fd/{fd}", None, MS_REMOUNT | MS_BIND | wanted | kept)
