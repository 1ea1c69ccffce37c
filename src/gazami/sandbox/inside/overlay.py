"""A root file system from its layers: the overlay mount, within the limits of the kernels that are met.

Three limits shape this module. mount(2) takes one page of options, so the layers are named by descriptor numbers
relative to /proc/self/fd (4 bytes each) where fsconfig(2) has no ``lowerdir+`` (Linux < 6.5). An overlay takes 500 lower
directories and stacks two deep, so the bottom ones are merged into overlays of their own first, 400 each. And an
overlay in a user namespace needs ``userxattr``. All overlays are mounted over directories that they are made of: the
mount namespace is private, and so no directory has to be made for them.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from gazami.sandbox.kernel import linux
from gazami.sandbox.kernel.mounts import bind

_MOST_LOWERS = 500
_MERGED_AT_ONCE = 400
_OPTIONS = (("source", "overlay"), ("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off"))
"""What the snapshot of an upper directory relies on, and no trust in layers that ask to be redirected; a kernel that does not
know an option has it off."""


def mount(lowers: tuple[str, ...], upper: str, work: str, *, userxattr: bool) -> None:
    """Mount an overlay of ``lowers`` (topmost first, any number) and ``upper`` over ``upper``.

    Without lowers ``upper`` alone is the root. Writes are not flushed to disk by the command's fsync (``volatile``): a step that
    fails is thrown away whole.
    """
    if not lowers:
        bind(upper, upper)
        return
    layers, merged = list(lowers), list[str]()
    while len(layers) + len(merged) > _MOST_LOWERS:
        bottom = layers[-_MERGED_AT_ONCE:]
        layers = layers[:-_MERGED_AT_ONCE]
        _mount_layers(bottom, None, bottom[0], userxattr=userxattr)
        merged.insert(0, bottom[0])
    _forget_volatile(work)
    _mount_layers([*layers, *merged], (upper, work), upper, userxattr=userxattr)


def _forget_volatile(work: str) -> None:
    """Let a work directory of a ``volatile`` mount be used again: the machine has not crashed since."""
    volatile = f"{work}/work/incompat/volatile"
    with suppress(OSError):
        os.unlink(f"{volatile}/dirty")
    with suppress(OSError):
        os.rmdir(volatile)


Writable = tuple[str, str]
"""The upper directory and the work directory."""


def _mount_layers(lowers: list[str], writable: Writable | None, target: str, *, userxattr: bool) -> None:
    context = _context(lowers[0])
    if context is None:
        _mount_by_descriptors(lowers, writable, target, userxattr=userxattr)
        return
    try:
        _mount_by_context(context, lowers, writable, target, userxattr=userxattr)
    except OSError as error:
        raise OSError(error.errno, f"mount overlay: {_explain(context) or error.strerror}", target) from None
    finally:
        os.close(context)


def _context(first: str) -> int | None:
    """An overlay to configure that has its ``first`` lower directory; None where the kernel has no ``lowerdir+``."""
    try:
        context = linux.fsopen("overlay")
    except OSError:
        return None
    try:
        linux.fsconfig(context, linux.FSCONFIG_SET_STRING, "lowerdir+", first)
    except OSError as error:
        os.close(context)
        if error.errno != errno.EINVAL:
            raise
        return None
    return context


def _mount_by_context(context: int, lowers: list[str], writable: Writable | None, target: str, *, userxattr: bool) -> None:
    for lower in lowers[1:]:
        linux.fsconfig(context, linux.FSCONFIG_SET_STRING, "lowerdir+", lower)
    if writable is not None:
        linux.fsconfig(context, linux.FSCONFIG_SET_STRING, "upperdir", writable[0])
        linux.fsconfig(context, linux.FSCONFIG_SET_STRING, "workdir", writable[1])
        with suppress(OSError):
            linux.fsconfig(context, linux.FSCONFIG_SET_FLAG, "volatile")
    for key, value in _OPTIONS:
        with suppress(OSError):
            linux.fsconfig(context, linux.FSCONFIG_SET_STRING, key, value)
    if userxattr:
        linux.fsconfig(context, linux.FSCONFIG_SET_FLAG, "userxattr")
    linux.fsconfig(context, linux.FSCONFIG_CMD_CREATE)
    mounted = linux.fsmount(context, linux.MOUNT_ATTR_NODEV)
    try:
        linux.move_mount(mounted, target)
    finally:
        os.close(mounted)


def _mount_by_descriptors(lowers: list[str], writable: Writable | None, target: str, *, userxattr: bool) -> None:
    """mount(2) with the layers as ``3:4:5…``, names in /proc/self/fd; the options of newer kernels are dropped one by one."""
    before = os.open(".", os.O_PATH | os.O_CLOEXEC)
    opened = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in lowers]
    try:
        required = ["lowerdir=" + ":".join(map(str, opened))]
        if writable is not None:
            opened += [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in writable]
            required += [f"upperdir={opened[-2]}", f"workdir={opened[-1]}"]
        if userxattr:
            required.append("userxattr")
        optional = [f"{key}={value}" for key, value in _OPTIONS[1:]]
        if writable is not None:
            optional.append("volatile")
        os.chdir("/proc/self/fd")
        for options in ([*required, *optional], [*required, *optional[:-1]], required):
            try:
                linux.mount("overlay", target, "overlay", linux.MS_NODEV, ",".join(options))
                return
            except OSError as error:
                if error.errno != errno.EINVAL or options is required:
                    raise
    finally:
        os.fchdir(before)
        for fd in (before, *opened):
            os.close(fd)


def _explain(context: int) -> str:
    """What the kernel says about a context that failed."""
    lines = []
    with suppress(OSError):
        while line := os.read(context, 4096):
            lines.append(line.decode(errors="replace").strip().removeprefix("e ").removeprefix("overlay: "))
    return "; ".join(lines)
