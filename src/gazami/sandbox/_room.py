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
from gazami.layer.recorded_owner import Recorded
from gazami.sandbox import _linux, _mounts
from gazami.sandbox._accounts import FILE_LIMIT, Account, find_account
from gazami.sandbox._inplace import Ground
from gazami.sandbox._linux import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from gazami.sandbox._paths import Kind, Names, Place, read_text, walk
from gazami.sandbox._targets import Targets
from gazami.sandbox.spec import MOUNTING, BindMount, FileMount, OverlayRoot, Root, RunSpec, TmpfsMount

DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_DEV_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
    "core": "/proc/kcore",
}
_DRAWER_SIZE = 4 << 20
_HIDDEN = (
    "proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats", "proc/sched_debug",
    "proc/scsi", "proc/timer_list", "proc/timer_stats", "sys/firmware", "sys/devices/virtual/powercap",
)  # fmt: skip
"""What Docker covers, because it tells about or reaches into the host."""
_READONLY = ("proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class Setting:
    """What the chosen mode allows here."""

    mode: str
    userxattr: bool
    pid_namespace: bool
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
    _mount_proc(root, setting)
    drawer = _mount_drawer(root, sum(len(item.content) for item in spec.mounts if isinstance(item, FileMount)))
    dev = _mount_dev(root, spec.shm_size)
    if setting.records_owners:
        _settle_apt(dev)
    _mount_sys(root, own_network=spec.network == "none")
    _protect(root, dev)
    desk = _Desk(root, drawer, targets, one_id=setting.records_owners)
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
        _linux.pivot_root(".", ".")
        _linux.umount(".", _linux.MNT_DETACH)
    except OSError:
        os.fchdir(room.root)
        _linux.mount(".", "/", None, _linux.MS_MOVE)
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
            try:
                sources[mount.source] = os.open(mount.source, os.O_PATH | os.O_CLOEXEC)
            except OSError as error:
                raise SandboxError(f"cannot mount {mount.source} at {mount.target}: {error.strerror}") from None
    return sources


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

    def __init__(self, root: int, drawer: int, targets: Targets, *, one_id: bool) -> None:
        self._root = root
        self._drawer = drawer
        self._files = 0
        self._targets = targets
        self._one_id = one_id

    def place_file(self, mount: FileMount, *, readonly: bool) -> None:
        self._files += 1
        name = str(self._files)
        fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=self._drawer)
        with open(fd, "wb") as file:
            file.write(base64.b64decode(mount.content))
            if not self._one_id:
                os.fchown(fd, mount.uid, mount.gid)
            os.fchmod(fd, mount.mode)
        target = self._target(mount.target, "file")
        self._bind(f"/proc/self/fd/{self._drawer}/{name}", target, readonly=readonly)

    def place_bind(self, mount: BindMount, source: int) -> None:
        kind: Kind = "directory" if stat.S_ISDIR(os.fstat(source).st_mode) else "file"
        self._bind(f"/proc/self/fd/{source}", self._target(mount.target, kind), readonly=mount.readonly)

    def place_tmpfs(self, mount: TmpfsMount) -> None:
        target = self._target(mount.target, "directory")
        options = [f"mode={mount.mode:o}", *([f"size={mount.size}"] if mount.size is not None else [])]
        _linux.mount("tmpfs", target.proc, "tmpfs", MS_NOSUID | MS_NODEV, ",".join(options))
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
        _mounts.bind(source, target.proc)
        if readonly:
            mounted = _reopen(self._root, target.names)
            _mounts.make_readonly(mounted)
            mounted.close()
        self._done(target)

    def _done(self, target: Place) -> None:
        self._targets.foreign.append(target.names)
        target.close()


class _umask:
    def __init__(self, mask: int) -> None:
        self._mask = mask

    def __enter__(self) -> None:
        self._before = os.umask(self._mask)

    def __exit__(self, *_: object) -> None:
        os.umask(self._before)


def _mount_root(root: Root, setting: Setting, targets: Targets) -> str:
    if isinstance(root, OverlayRoot):
        targets.upper = os.open(root.upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        _mounts.mount_overlay(root.lowers, root.upper, root.work, userxattr=setting.userxattr)
        return root.upper
    _mounts.bind(root.path, root.path)
    return root.path


def _reopen(root: int, names: Sequence[str]) -> Place:
    """The same place again, now with what has been mounted there."""
    return walk(root, "/" + "/".join(names))


def _real_directory(root: int, name: str) -> Place:
    """A directory directly in the root, made when missing; not through a symbolic link, which an image may set as a trap."""
    place = walk(root, f"/{name}", make="directory")
    if place.names != (name,) or not place.is_directory:
        raise SandboxError(f"/{name} in the image is not a directory, so nothing can be mounted there")
    return place


def _mount_proc(root: int, setting: Setting) -> None:
    place = _real_directory(root, "proc")
    if setting.pid_namespace:
        _linux.mount("proc", place.proc, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    else:
        _mounts.bind("/proc", place.proc)
    place.close()


def _mount_sys(root: int, *, own_network: bool) -> None:
    """The host's /sys; a new one where the step has a network of its own, since /sys/class/net shows its mounter's."""
    place = _real_directory(root, "sys")
    try:
        if not own_network:
            raise PermissionError
        _linux.mount("sysfs", place.proc, "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError:
        _mounts.bind("/sys", place.proc)
    mounted = _reopen(root, place.names)
    _mounts.make_readonly(mounted)
    mounted.close()
    place.close()


def _mount_drawer(root: int, size: int) -> int:
    """A tmpfs for files of our own with ``size`` bytes in base64; /dev will lie over it. Returns a descriptor of it."""
    options = f"mode=700,size={size + _DRAWER_SIZE}"
    return _mount_over_dev(root, MS_NOSUID | MS_NODEV, options)


def _mount_over_dev(root: int, flags: int, options: str) -> int:
    place = _real_directory(root, "dev")
    _linux.mount("tmpfs", place.proc, "tmpfs", flags, options)
    place.close()
    return _reopen(root, ("dev",)).fd


def _mount_dev(root: int, shm_size: int) -> int:
    """A small /dev as Docker's; returns a descriptor of it."""
    dev = _mount_over_dev(root, MS_NOSUID, "mode=755,size=65536k")
    here = f"/proc/self/fd/{dev}"
    with _umask(0):
        for name, number in DEVICES.items():
            _make_device(dev, name, number)
    for name, target in _DEV_LINKS.items():
        os.symlink(target, name, dir_fd=dev)
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(name, 0o755, dir_fd=dev)
    terminals = "newinstance,ptmxmode=0666,mode=0620"
    try:
        _linux.mount("devpts", f"{here}/pts", "devpts", MS_NOSUID | MS_NOEXEC, f"{terminals},gid=5")
    except OSError:
        _linux.mount("devpts", f"{here}/pts", "devpts", MS_NOSUID | MS_NOEXEC, terminals)
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    _linux.mount("shm", f"{here}/shm", "tmpfs", flags, f"mode=1777,size={shm_size}")
    with suppress(OSError):
        _linux.mount("mqueue", f"{here}/mqueue", "mqueue", flags)
    return dev


APT_CONFIG = "/dev/.gazami-apt.conf"


def _settle_apt(dev: int) -> None:
    """apt checks that it has become its user _apt, which there is not; this file tells it to stay root."""
    fd = os.open(APT_CONFIG.rpartition("/")[2], os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=dev)
    with open(fd, "wb") as file:
        file.write(b'APT::Sandbox::User "root";\n')


def _make_device(dev: int, name: str, number: tuple[int, int]) -> None:
    """A device node, or the host's own bound there where nodes cannot be made (in user namespaces)."""
    try:
        os.mknod(name, 0o666 | stat.S_IFCHR, os.makedev(*number), dir_fd=dev)
    except PermissionError:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=dev))
        _mounts.bind(f"/dev/{name}", f"/proc/self/fd/{dev}/{name}")


def _protect(root: int, dev: int) -> None:
    """Cover the paths of /proc and /sys that Docker covers and make read-only those that it does: uid 0 may write there."""
    for path in _HIDDEN:
        with suppress(FileNotFoundError):
            place = walk(root, path)
            if place.is_directory:
                _linux.mount("tmpfs", place.proc, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0k")
            else:
                _mounts.bind(f"/proc/self/fd/{dev}/null", place.proc)
            place.close()
    for path in _READONLY:
        with suppress(FileNotFoundError):
            place = walk(root, path)
            _mounts.bind(place.proc, place.proc)
            mounted = _reopen(root, place.names)
            _mounts.make_readonly(mounted)
            mounted.close()
            place.close()
