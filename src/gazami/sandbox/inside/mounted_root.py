"""The root of one command where mounts work: layers, /proc, /dev, /sys, /etc/resolv.conf, /etc/hosts and the step's mounts.

It runs in a process that has a mount namespace of its own. Nothing is done by a path inside the root: paths are walked by
:mod:`.paths` and named by descriptor. What had to be made is noted in :class:`.targets.Targets`. Files with bytes of our own
lie on a tmpfs that /dev is then mounted over, and are bound to their targets, so the root has no other name for them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from gazami.errors import SandboxError
from gazami.layer import recorded_owner
from gazami.layer.recorded_owner import Recorded
from gazami.sandbox.inside import kernel_files, overlay, prepared_root
from gazami.sandbox.inside.kernel_files import restrict_mounted
from gazami.sandbox.inside.paths import FileType, Names, PathFd, walk
from gazami.sandbox.inside.prepared_root import HOSTS, RESOLV_CONF, PreparedRoot, open_source
from gazami.sandbox.inside.targets import Targets
from gazami.sandbox.kernel import linux
from gazami.sandbox.kernel.linux import MS_NODEV, MS_NOSUID
from gazami.sandbox.kernel.mounts import bind, restrict
from gazami.sandbox.spec import BindMount, Choice, FileMount, OverlayRoot, Root, RunSpec, TmpfsMount


def prepare(spec: RunSpec, choice: Choice, targets: Targets) -> PreparedRoot:
    """Mount everything that the command needs; raises OSError, SandboxError or UserError."""
    sources = _open_sources(spec)
    base = _mount_root(spec.root, targets, userxattr=choice.userxattr)
    root = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    account = prepared_root.look_up(root, spec.user)
    kernel_files.mount_proc(root, own=choice.pid_namespace)
    private = kernel_files.mount_private(root, sum(len(item.content) for item in spec.mounts if isinstance(item, FileMount)))
    dev = kernel_files.mount_dev(root, private, spec.shm_size)
    one_id = choice.mode.records_owners
    if one_id:
        kernel_files.settle_apt(dev)
    kernel_files.mount_sys(root)
    kernel_files.protect(root, dev)
    mounter = _Mounter(root, private, targets, one_id=one_id)
    mounter.mount_file(FileMount(RESOLV_CONF, prepared_root.resolv_conf(), mode=0o644), readonly=False)
    mounter.mount_file(FileMount(HOSTS, prepared_root.hosts_file(spec), mode=0o644), readonly=False)
    for mount in spec.mounts:
        match mount:
            case BindMount():
                mounter.mount_bind(mount, sources[mount.source])
            case TmpfsMount():
                mounter.mount_tmpfs(mount)
            case FileMount():
                mounter.mount_file(mount, readonly=True)
    targets.restore_times()
    made: list[Names] = []
    cwd = prepared_root.open_cwd(root, spec.cwd, made)
    if one_id:
        _record_root_as_owner(root, made)
    return PreparedRoot(root, cwd, account)


def enter(prepared: PreparedRoot) -> None:
    """Make the root this process's whole file system; the old one is out of reach afterwards."""
    os.fchdir(prepared.root)
    try:
        linux.pivot_root(".", ".")
        linux.umount(".", linux.MNT_DETACH)
    except OSError:
        os.fchdir(prepared.root)
        linux.mount(".", "/", None, linux.MS_MOVE)
        os.chroot(".")
    os.fchdir(prepared.cwd)


def _record_root_as_owner(root: int, directories: Sequence[Names]) -> None:
    for names in directories:
        with walk(root, "/" + "/".join(names)) as directory:
            recorded_owner.record(directory.proc, Recorded(0, 0))


def _open_sources(spec: RunSpec) -> dict[str, int]:
    """The sources of the bind mounts, opened before anything is mounted over them."""
    binds = {mount.source: mount for mount in spec.mounts if isinstance(mount, BindMount)}
    return {source: open_source(mount) for source, mount in binds.items()}


def _mount_root(root: Root, targets: Targets, *, userxattr: bool) -> str:
    if isinstance(root, OverlayRoot):
        targets.upper = os.open(root.upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        overlay.mount(root.lowers, root.upper, root.work, userxattr=userxattr)
        return root.upper
    bind(root.path, root.path)
    mounted = os.open(root.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    restrict(mounted, readonly=False)
    os.close(mounted)
    return root.path


class _Mounter:
    """Mounts one after the other in a root. ``private`` is the directory for files with bytes of our own."""

    def __init__(self, root: int, private: int, targets: Targets, *, one_id: bool) -> None:
        self._root = root
        self._private = private
        self._files = 0
        self._targets = targets
        self._one_id = one_id

    def mount_file(self, mount: FileMount, *, readonly: bool) -> None:
        self._files += 1
        name = str(self._files)
        fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=self._private)
        with open(fd, "wb") as file:
            file.write(mount.content)
            if not self._one_id:
                os.fchown(fd, mount.uid, mount.gid)
            os.fchmod(fd, mount.mode)
        target = self._target(mount.target, "file")
        self._bind(f"/proc/self/fd/{self._private}/{name}", target, readonly=readonly)

    def mount_bind(self, mount: BindMount, source: int) -> None:
        file_type: FileType = "directory" if stat.S_ISDIR(os.fstat(source).st_mode) else "file"
        self._bind(f"/proc/self/fd/{source}", self._target(mount.target, file_type), readonly=mount.readonly)

    def mount_tmpfs(self, mount: TmpfsMount) -> None:
        target = self._target(mount.target, "directory")
        options = [f"mode={mount.mode:o}", *([f"size={mount.size}"] if mount.size is not None else [])]
        with target:
            linux.mount("tmpfs", target.proc, "tmpfs", MS_NOSUID | MS_NODEV, ",".join(options))
        self._targets.foreign.append(target.names)

    def _target(self, path: str, file_type: FileType) -> PathFd:
        try:
            target = walk(self._root, path, file_type, self._targets.on_make)
        except OSError as error:
            raise SandboxError(f"cannot mount at {path} in the image: {error.strerror}") from None
        if target.is_directory != (file_type == "directory"):
            what = "a directory" if target.is_directory else "not a directory"
            raise SandboxError(f"cannot mount at {path}: it is {what} in the image")
        return target

    def _bind(self, source: str, target: PathFd, *, readonly: bool) -> None:
        with target:
            bind(source, target.proc)
        restrict_mounted(self._root, target.names, readonly=readonly)
        self._targets.foreign.append(target.names)
