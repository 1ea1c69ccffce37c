"""/proc, /sys and /dev of a step that has a mount namespace, with what Docker covers covered. Standard library only.

Every mount has ``nodev``; see :mod:`.devices`. Paths in the root are walked by descriptor (:mod:`.paths`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from gazami.errors import SandboxError
from gazami.sandbox.inside.devices import bind_devices
from gazami.sandbox.inside.paths import PathFd, walk
from gazami.sandbox.kernel import linux
from gazami.sandbox.kernel.linux import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from gazami.sandbox.kernel.mountinfo import mount_points
from gazami.sandbox.kernel.mounts import bind, restrict

_DEV_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
    "core": "/proc/kcore",
}
_PRIVATE_SIZE = 4 << 20
_CLOSED = MS_NOSUID | MS_NODEV | MS_NOEXEC
_HIDDEN = (
    "proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats", "proc/sched_debug",
    "proc/scsi", "proc/timer_list", "proc/timer_stats", "sys/firmware", "sys/devices/virtual/powercap",
)  # fmt: skip
"""What Docker covers, because it shows or changes the host."""
_READONLY = ("proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger")


def restrict_mounted(root: int, names: Sequence[str], *, readonly: bool) -> None:
    """:func:`restrict` what has been mounted at a path, which is opened again to find it."""
    with walk(root, "/" + "/".join(names)) as mounted:
        restrict(mounted.fd, readonly=readonly)


def mount_proc(root: int, *, own: bool) -> None:
    """``own``: there is a PID namespace to show; else the container's is shown."""
    with _real_directory(root, "proc") as target:
        if own:
            linux.mount("proc", target.proc, "proc", _CLOSED)
        else:
            bind("/proc", target.proc)


def mount_sys(root: int) -> None:
    """A new sysfs, read-only, with nothing mounted in it: no control groups, debugfs or bpf of the machine. Where the kernel
    refuses that (the network belongs to another user namespace), the machine's own without what is mounted in it."""
    covered: list[str] = []
    with _real_directory(root, "sys") as target:
        try:
            linux.mount("sysfs", target.proc, "sysfs", _CLOSED)
        except OSError:
            try:
                bind("/sys", target.proc, recursive=False)
            except OSError:  # what is mounted in it is locked there: mount_namespaces(7)
                covered = sorted(point for point in mount_points() if point.startswith("/sys/"))
                bind("/sys", target.proc)
    for path in covered:
        with suppress(FileNotFoundError, NotADirectoryError), walk(root, path) as mounted:
            if mounted.is_directory:
                _hide(mounted)
    restrict_mounted(root, ("sys",), readonly=True)


def mount_private(root: int, size: int) -> int:
    """A tmpfs for device nodes and files of our own of ``size`` bytes; /dev will lie over it, so the step cannot
    see it. Returns a descriptor of it."""
    return _mount_over_dev(root, MS_NOSUID, f"mode=700,size={size + _PRIVATE_SIZE}")


def mount_dev(root: int, private: int, shm_size: int) -> int:
    """A small /dev as Docker's; returns a descriptor of it."""
    dev = _mount_over_dev(root, MS_NOSUID | MS_NODEV, "mode=755,size=65536k")
    here = f"/proc/self/fd/{dev}"
    mask = os.umask(0)
    bind_devices(dev, private)
    os.umask(mask)
    for name, target in _DEV_LINKS.items():
        os.symlink(target, name, dir_fd=dev)
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(name, 0o755, dir_fd=dev)
    terminals = "newinstance,ptmxmode=0666,mode=0620"
    try:
        linux.mount("devpts", f"{here}/pts", "devpts", MS_NOSUID | MS_NOEXEC, f"{terminals},gid=5")
    except OSError:
        linux.mount("devpts", f"{here}/pts", "devpts", MS_NOSUID | MS_NOEXEC, terminals)
    linux.mount("shm", f"{here}/shm", "tmpfs", _CLOSED, f"mode=1777,size={shm_size}")
    with suppress(OSError):
        linux.mount("mqueue", f"{here}/mqueue", "mqueue", _CLOSED)
    return dev


def protect(root: int, dev: int) -> None:
    """Cover the paths of /proc and /sys that Docker covers and make read-only those that it does: uid 0 may write there."""
    for path in _HIDDEN:
        with suppress(FileNotFoundError), walk(root, path) as target:
            if target.is_directory:
                _hide(target)
            else:
                bind(f"/proc/self/fd/{dev}/null", target.proc)
    for path in _READONLY:
        with suppress(FileNotFoundError), walk(root, path) as target:
            bind(target.proc, target.proc)
            restrict_mounted(root, target.names, readonly=True)


APT_CONFIG = "/dev/.gazami-apt.conf"


def settle_apt(dev: int) -> None:
    """Configure apt to stay root: it would check that it has become its user _apt, whose id does not exist here."""
    fd = os.open(APT_CONFIG.rpartition("/")[2], os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=dev)
    with open(fd, "wb") as file:
        file.write(b'APT::Sandbox::User "root";\n')


def _hide(directory: PathFd) -> None:
    linux.mount("tmpfs", directory.proc, "tmpfs", MS_RDONLY | _CLOSED, "size=0k")


def _real_directory(root: int, name: str) -> PathFd:
    """A directory directly in the root, made when missing; not through a symbolic link, which an image may set as a trap."""
    target = walk(root, f"/{name}", make="directory")
    if target.names != (name,) or not target.is_directory:
        raise SandboxError(f"/{name} in the image is not a directory, so nothing can be mounted there")
    return target


def _mount_over_dev(root: int, flags: int, options: str) -> int:
    with _real_directory(root, "dev") as target:
        linux.mount("tmpfs", target.proc, "tmpfs", flags, options)
    return walk(root, "/dev").fd
