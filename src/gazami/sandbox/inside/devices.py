"""The devices that a step can open: null, zero, full, random, urandom, tty and its own terminals, and no others.

A container runtime has a device control group for that. Where there are mounts, everything is mounted with ``nodev`` and
the six nodes are bound to /dev, so a node that a step, a layer or a cache brings cannot be opened. Where there are none,
nodes of layers are not made, and steps get no CAP_MKNOD unless the container's own control group is seen to refuse all
other devices.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from gazami.layer.beneath import remove_below
from gazami.sandbox.inside.paths import opened
from gazami.sandbox.kernel.mounts import bind, make_readonly

DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_HARMLESS = frozenset({*DEVICES.values(), (5, 1), (5, 2)})
"""Also a console and /dev/ptmx: what runc gives to every container."""
_TERMINALS = range(136, 144)
"""Major numbers of pseudo-terminals (Documentation/admin-guide/devices.txt of the kernel)."""
_SAMPLES = ((stat.S_IFCHR, 10, 229), (stat.S_IFCHR, 10, 237), (stat.S_IFCHR, 10, 200), (stat.S_IFBLK, 7, 0))
"""fuse, loop-control, tun, loop0: opening one does nothing, and no runtime allows all of them."""
_DEEPEST = 8
_DEEPEST_CACHE = 200
"""Directories in each other: no cache of a package manager has a tenth of it."""


def bind_devices(dev: int, private: int) -> None:
    """Bind the six nodes to empty files in the directory ``dev``. They are made in ``private``, a directory that no step
    sees; where that is refused (in user namespaces), they are the machine's own. Raises OSError."""
    for name, (major, minor) in DEVICES.items():
        try:
            os.mknod(name, 0o666 | stat.S_IFCHR, os.makedev(major, minor), dir_fd=private)
        except PermissionError:
            _bind_the_machines(dev, name, (major, minor))
        else:
            _bind(dev, name, f"/proc/self/fd/{private}/{name}")


def _bind(dev: int, name: str, source: str) -> None:
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=dev))
    bind(source, f"/proc/self/fd/{dev}/{name}")


def _bind_the_machines(dev: int, name: str, number: tuple[int, int]) -> None:
    """A machine without that device has none to give. The mount is read-only: that does not concern what is written to a device,
    and keeps a command's root, who may own the node, from its mode and owner."""
    source = f"/dev/{name}"
    try:
        info = os.stat(source)
    except FileNotFoundError:
        return
    if _number(info) != number:
        raise PermissionError(1, f"the machine's {source} is another device")
    _bind(dev, name, source)
    with opened(name, os.O_PATH | os.O_NOFOLLOW, dev) as fd:
        make_readonly(fd)


def foreign(directory: str, depth: int = _DEEPEST) -> list[str]:
    """The paths below a directory such as /dev of nodes for other devices than a step may open."""
    found = []
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found += foreign(entry.path, depth - 1) if depth else []
            elif is_foreign(entry.stat(follow_symlinks=False)):
                found.append(entry.path)
    return sorted(found)


def is_foreign(info: os.stat_result) -> bool:
    """Whether this is a node for a device that a step may not open."""
    if stat.S_ISBLK(info.st_mode):
        return True
    number = _number(info)
    return stat.S_ISCHR(info.st_mode) and not (number in _HARMLESS or number[0] in _TERMINALS)


def remove_foreign(folder: int, name: str, depth: int = 0) -> None:
    """Remove nodes for other devices below the directory ``name`` in ``folder``, and directories that lie too deep to be looked
    into; no link is followed. Raises OSError."""
    if depth > _DEEPEST_CACHE:
        remove_below(folder, name)
        return
    with opened(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, folder) as fd:
        with os.scandir(fd) as entries:
            found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
        for below, info in found:
            if stat.S_ISDIR(info.st_mode):
                remove_foreign(fd, below, depth + 1)
            elif is_foreign(info):
                os.unlink(below, dir_fd=fd)


def are_guarded(directory: str, dev: str = "/dev") -> bool:
    """Whether the container's control group keeps its processes from every device that is not in its /dev, and that holds only
    harmless ones. Found out by doing it: nodes are made in ``directory`` and opened."""
    return not foreign(dev) and not any(_opens(directory, *sample) for sample in _SAMPLES)


def _opens(directory: str, format_: int, major: int, minor: int) -> bool:
    path = f"{directory}/device-{major}-{minor}"
    try:
        os.mknod(path, 0o600 | format_, os.makedev(major, minor))
    except OSError:
        return False  # then no node can be made here
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))
    except PermissionError:
        return False
    except OSError:
        return True  # there is no such device, but it may be asked for
    finally:
        os.unlink(path)
    return True


def _number(info: os.stat_result) -> tuple[int, int]:
    return os.major(info.st_rdev), os.minor(info.st_rdev)
