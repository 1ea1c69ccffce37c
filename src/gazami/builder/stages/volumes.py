"""``--volume`` and ``--expose-mounts``: files of this machine that every RUN sees, and that belong to no image.

Where commands have mounts, a volume is one more of them. Where nothing can be mounted, a read-only volume is copied for each
step and moved to its place, as the files of ``RUN --mount=type=bind`` are; one that may be written to is refused.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Collection, Sequence

from gazami.builder.request import Volume, Volumes
from gazami.errors import HostError, SandboxError, UsageError
from gazami.sandbox.kernel.mountinfo import Mounted
from gazami.sandbox.spec import BindMount

_SYSTEM = ("/proc", "/sys", "/dev", "/kaniko", "/busybox", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/run/.containerenv")
_TOKENS = ("kubernetes.io/serviceaccount", "eks.amazonaws.com/serviceaccount", "azure/tokens")
"""Below ``/var/run/secrets``: identities of the pod, which are its own and no step's."""


def volumes_of(wanted: Volumes, mounts: Callable[[], Sequence[Mounted]], own: Collection[str]) -> tuple[Volume, ...]:
    """All volumes, outermost targets first. ``own`` are paths that are the builder's, with its credentials, or the context: a mount
    that holds one is not exposed. Raises :class:`UsageError` for a source that is missing."""
    found = {volume.target: volume for volume in exposed(mounts(), own)} if wanted.exposed else {}
    for volume in wanted.listed:
        if not os.path.exists(volume.source):
            raise UsageError(f"--volume: there is no {volume.source} on this machine", hint="write SRC:DST, in this order")
        found[volume.target] = Volume(os.path.realpath(volume.source), volume.target, volume.readonly)
    return tuple(sorted(found.values(), key=lambda each: each.target.count("/")))


def exposed(mounts: Sequence[Mounted], own: Collection[str]) -> list[Volume]:
    """The mounts that are neither the system's nor the builder's, the outermost of each: those below come with it. Pure."""
    found: list[Volume] = []
    for point in sorted({mount.point for mount in mounts}):
        system = point == "/" or any(_is_in(point, each) for each in _SYSTEM) or point.endswith(_TOKENS)
        if not system and not any(_is_in(each, point) for each in own) and not any(_is_in(point, each.target) for each in found):
            found.append(Volume(point, point))
    return found


def bound(volume: Volume, mode: str, copy_to: str) -> BindMount:
    """The mount of a volume for one step. ``copy_to`` is where a copy may lie; empty where commands have mounts. Raises
    :class:`SandboxError` for one that ``mode`` cannot give."""
    if not copy_to:
        return BindMount(volume.source, volume.target, volume.readonly)
    if not volume.readonly:
        raise SandboxError(
            f"--volume {volume.source}:{volume.target}: {mode} mode can mount nothing, so a step cannot write to a volume",
            hint="add :ro, or let the pod make user namespaces (gazami doctor says how)",
        )
    try:
        os.makedirs(os.path.dirname(copy_to), 0o700, exist_ok=True)
        _copy(None, volume.source, copy_to)
    except OSError as error:
        raise HostError(f"cannot copy the volume {volume.source} for a step: {error.strerror}: {error.filename}") from None
    return BindMount(copy_to, volume.target, movable=True)


def told(volumes: Sequence[Volume]) -> str:
    """A line of the log: what a step sees, and from where."""
    shown = [
        (each.target if each.source == each.target else f"{each.target} ({each.source})") + ("" if each.readonly else ", writable")
        for each in volumes
    ]
    return f"RUN sees the volumes {'; '.join(shown)}"


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _copy(folder: int | None, name: str, target: str) -> None:
    """A copy of ``name`` in an open folder with owners, modes and times, a link being a link. Sockets, FIFOs and devices are left
    out. Nothing is followed: another container of the pod may write to the volume meanwhile."""
    info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(info.st_mode):
        os.symlink(os.readlink(name, dir_fd=folder), target)
        os.chown(target, info.st_uid, info.st_gid, follow_symlinks=False)
        return
    if not (stat.S_ISDIR(info.st_mode) or stat.S_ISREG(info.st_mode)):
        return
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        if stat.S_ISDIR(info.st_mode):
            os.mkdir(target, 0o700)
            for each in os.listdir(fd):
                _copy(fd, each, f"{target}/{each}")
        else:
            with open(target, "xb") as file, open(fd, "rb", closefd=False) as source:
                shutil.copyfileobj(source, file, 1 << 20)
    finally:
        os.close(fd)
    os.chown(target, info.st_uid, info.st_gid)
    os.chmod(target, stat.S_IMODE(info.st_mode))
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))
