"""The root of one command, put together: layers, /proc, /dev, /sys, /etc/resolv.conf, /etc/hosts and the step's mounts.

It runs in a process that has a mount namespace of its own. Nothing is done by a path inside the root: places are found
by :mod:`._paths` and named by descriptor. What had to be made is noted in :class:`._targets.Targets`. Files with bytes of our own
lie on a tmpfs that /dev is then mounted over, and are bound to their targets: they have no other name in the root.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from gazami.errors import SandboxError, UserError
from gazami.layer import recorded_owner
from gazami.layer.beneath import Beneath
from gazami.layer.recorded_owner import Recorded
from gazami.sandbox.inside import step_mounts
from gazami.sandbox.inside.accounts import FILE_LIMIT, Account, find_account
from gazami.sandbox.inside.inplace import Ground
from gazami.sandbox.inside.kernel_files import (
    mount_dev,
    mount_private,
    mount_proc,
    mount_sys,
    protect,
    reopen,
    settle_apt,
)
from gazami.sandbox.inside.paths import Kind, Names, Place, read_text, walk
from gazami.sandbox.inside.targets import Targets
from gazami.sandbox.kernel import linux
from gazami.sandbox.kernel.linux import MS_NODEV, MS_NOSUID
from gazami.sandbox.spec import MOUNTING, BindMount, FileMount, OverlayRoot, Root, RunSpec, TmpfsMount


@dataclass(frozen=True, slots=True)
class Setting:
    """What the chosen mode allows here."""

    mode: str
    userxattr: bool
    pid_namespace: bool
    device_cgroup: bool
    """Of modes without mounts: the container's control group guards devices."""
    ground: Ground | None = None
    """Of ``inplace``."""

    @property
    def mounts(self) -> bool:
        return self.mode in MOUNTING

    @property
    def records_owners(self) -> bool:
        return self.mode == "userns-single"


@dataclass(frozen=True, slots=True)
class Room:
    """A root ready to be entered."""

    root: int
    cwd: int
    account: Account


def furnish(spec: RunSpec, setting: Setting, targets: Targets) -> Room:
    """Mount everything that the command needs; raises OSError, SandboxError or UserError."""
    sources = open_sources(spec)
    base = _mount_root(spec.root, setting, targets)
    root = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    account = look_up(root, spec.user)
    mount_proc(root, own=setting.pid_namespace)
    private = mount_private(root, sum(len(item.content) for item in spec.mounts if isinstance(item, FileMount)))
    dev = mount_dev(root, private, spec.shm_size)
    if setting.records_owners:
        settle_apt(dev)
    mount_sys(root)
    protect(root, dev)
    desk = _Desk(root, private, targets, one_id=setting.records_owners)
    desk.place_file(FileMount(RESOLV_CONF, encode(resolv_conf()), mode=0o644), readonly=False)
    desk.place_file(FileMount("/etc/hosts", encode(hosts_file(spec)), mode=0o644), readonly=False)
    for mount in spec.mounts:
        match mount:
            case BindMount():
                desk.place_bind(mount, sources[mount.source])
            case TmpfsMount():
                desk.place_tmpfs(mount)
            case FileMount():
                desk.place_file(mount, readonly=True)
    targets.restore_times()
    made: list[Names] = []
    cwd = open_cwd(root, spec.cwd, made)
    if setting.records_owners:
        _record_root_as_owner(root, made)
    return Room(root, cwd, account)


def enter(room: Room) -> None:
    """Make the room this process's whole file system; the old one is out of reach afterwards."""
    os.fchdir(room.root)
    try:
        linux.pivot_root(".", ".")
        linux.umount(".", linux.MNT_DETACH)
    except OSError:
        os.fchdir(room.root)
        linux.mount(".", "/", None, linux.MS_MOVE)
        os.chroot(".")
    os.fchdir(room.cwd)


def look_up(root: int, user: str) -> Account:
    passwd = read_text(root, "/etc/passwd", FILE_LIMIT)
    group = read_text(root, "/etc/group", FILE_LIMIT)
    return find_account(user, passwd, group)


def open_cwd(root: int, cwd: str, made: list[Names]) -> int:
    """The working directory, made by root with mode 0755 when missing (it stays, as with Docker); ``made`` gets the names of
    new directories."""

    def note(parent: Place, name: str, kind: Kind) -> None:
        made.append((*parent.names, name))

    with suppress(NotADirectoryError):
        place = walk(root, cwd, "directory", note)
        if place.is_directory:
            return place.fd
        place.close()
    raise UserError(f"the working directory {cwd} is not a directory in the image")


def _record_root_as_owner(root: int, directories: Sequence[Names]) -> None:
    for names in directories:
        place = walk(root, "/" + "/".join(names))
        recorded_owner.record(place.proc, Recorded(0, 0))
        place.close()


def open_sources(spec: RunSpec) -> dict[str, int]:
    """The sources of the bind mounts, opened before anything is mounted over them."""
    sources = {}
    for mount in spec.mounts:
        if isinstance(mount, BindMount) and mount.source not in sources:
            sources[mount.source] = open_source(mount)
    return sources


def open_source(mount: BindMount) -> int:
    """An O_PATH descriptor of a bind mount's source, which is no link, nor reached through one below ``beneath``."""
    try:
        if mount.beneath:
            with Beneath(mount.beneath) as folder:
                fd = folder.open(os.path.relpath(mount.source, mount.beneath), os.O_PATH)
        else:
            fd = os.open(mount.source, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise SandboxError(f"cannot mount {mount.source} at {mount.target}: {error.strerror}") from None
    if stat.S_ISLNK(os.fstat(fd).st_mode):
        os.close(fd)
        raise SandboxError(f"cannot mount {mount.source} at {mount.target}: a symbolic link has taken its place")
    return fd


RESOLV_CONF = "/etc/resolv.conf"


def resolv_conf(path: str = RESOLV_CONF) -> bytes:
    """The host's name servers, which the command shares the network with."""
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError:
        return b""


def hosts_file(spec: RunSpec) -> bytes:
    lines = [f"127.0.0.1\tlocalhost {spec.hostname}", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{address}\t{name}" for address, name in spec.hosts]
    return "".join(f"{line}\n" for line in lines).encode()


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


class _Desk:
    """Puts one mount after the other into the root."""

    def __init__(self, root: int, private: int, targets: Targets, *, one_id: bool) -> None:
        self._root = root
        self._private = private
        self._files = 0
        self._targets = targets
        self._one_id = one_id

    def place_file(self, mount: FileMount, *, readonly: bool) -> None:
        self._files += 1
        name = str(self._files)
        fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=self._private)
        with open(fd, "wb") as file:
            file.write(base64.b64decode(mount.content))
            if not self._one_id:
                os.fchown(fd, mount.uid, mount.gid)
            os.fchmod(fd, mount.mode)
        target = self._target(mount.target, "file")
        self._bind(f"/proc/self/fd/{self._private}/{name}", target, readonly=readonly)

    def place_bind(self, mount: BindMount, source: int) -> None:
        kind: Kind = "directory" if stat.S_ISDIR(os.fstat(source).st_mode) else "file"
        self._bind(f"/proc/self/fd/{source}", self._target(mount.target, kind), readonly=mount.readonly)

    def place_tmpfs(self, mount: TmpfsMount) -> None:
        target = self._target(mount.target, "directory")
        options = [f"mode={mount.mode:o}", *([f"size={mount.size}"] if mount.size is not None else [])]
        linux.mount("tmpfs", target.proc, "tmpfs", MS_NOSUID | MS_NODEV, ",".join(options))
        self._done(target)

    def _target(self, path: str, kind: Kind) -> Place:
        try:
            target = walk(self._root, path, kind, self._targets.on_make)
        except OSError as error:
            raise SandboxError(f"cannot mount at {path} in the image: {error.strerror}") from None
        if target.is_directory != (kind == "directory"):
            what = "a directory" if target.is_directory else "not a directory"
            raise SandboxError(f"cannot mount at {path}: it is {what} in the image")
        return target

    def _bind(self, source: str, target: Place, *, readonly: bool) -> None:
        step_mounts.bind(source, target.proc)
        mounted = reopen(self._root, target.names)
        step_mounts.restrict(mounted, readonly=readonly)
        mounted.close()
        self._done(target)

    def _done(self, target: Place) -> None:
        self._targets.foreign.append(target.names)
        target.close()


def _mount_root(root: Root, setting: Setting, targets: Targets) -> str:
    if isinstance(root, OverlayRoot):
        targets.upper = os.open(root.upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        step_mounts.mount_overlay(root.lowers, root.upper, root.work, userxattr=setting.userxattr)
        return root.upper
    step_mounts.bind(root.path, root.path)
    mounted = Place(os.open(root.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), ())
    step_mounts.restrict(mounted, readonly=False)
    mounted.close()
    return root.path
