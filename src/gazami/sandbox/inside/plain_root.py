"""The root of one command where nothing can be mounted: a plain directory, changed for the command and changed back.

Device nodes are made and removed. /etc/resolv.conf and /etc/hosts get the container's name servers and names, and later their own
bytes again. What a mount would bring is moved to its target by rename(2) for as long as the command runs: a directory of ours
(a cache, files laid out for the step), a new directory for a tmpfs, a file with bytes of our own. What the image has at the target
is set aside meanwhile. What the command itself changed stays changed. With chroot(2) alone there is no /proc and no /sys.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from gazami.errors import SandboxError
from gazami.layer.beneath import Beneath, remove_below
from gazami.sandbox.inside.devices import DEVICES, remove_foreign
from gazami.sandbox.inside.moving import move_entry
from gazami.sandbox.inside.paths import FileType, Names, PathFd, opened, parts, walk
from gazami.sandbox.inside.prepared_root import HOSTS, RESOLV_CONF, PreparedRoot, hosts_file, look_up, open_cwd, open_source
from gazami.sandbox.inside.targets import Targets
from gazami.sandbox.spec import BindMount, FileMount, RunSpec, StepMount, TmpfsMount
from gazami.values import fast_dataclass, field

_MOST_BYTES = 1 << 20
_NEEDS_MOUNTS = "Give the builder CAP_SYS_ADMIN or user namespaces; `gazami doctor` says what is missing."


@fast_dataclass(frozen=True, slots=True)
class ReplacedText:
    """A file of the image that has other bytes, ``content``, until the command has ended."""

    path: str
    original: bytes
    content: bytes
    mtime_ns: int


@fast_dataclass(frozen=True, slots=True)
class MovedIn:
    """What lies at the path ``path`` instead of what the image has there, which is at ``aside`` meanwhile. ``source`` is where a
    directory or file of ours comes from, ``identity`` its device, inode and format."""

    path: str
    aside: str
    source: str
    identity: tuple[int, int, int] | None = None


@fast_dataclass(frozen=True, slots=True)
class UndoRecord:
    """What :func:`undo` changes back, in the order in which it was done; ``nodes`` are paths of device nodes."""

    texts: tuple[ReplacedText, ...] = ()
    nodes: tuple[str, ...] = ()
    moved: tuple[MovedIn, ...] = ()


@fast_dataclass(slots=True)
class UndoLog:
    """The record while it is written. ``aside`` is a directory on the root's file system, made when it is needed."""

    targets: Targets
    aside: str
    texts: list[ReplacedText] = field(default_factory=list)
    nodes: list[str] = field(default_factory=list)
    moved: list[MovedIn] = field(default_factory=list)

    def record(self) -> UndoRecord:
        return UndoRecord(tuple(self.texts), tuple(self.nodes), tuple(self.moved))


def prepare(spec: RunSpec, base: str, log: UndoLog, mode: str, names: bytes, *, devices: bool) -> PreparedRoot:
    """Prepare the directory ``base``; raises SandboxError for what needs a mount or a namespace. ``mode`` is for the messages,
    ``names`` the text of /etc/resolv.conf. ``devices``: nodes for any device may lie in the root."""
    if spec.network == "none":
        raise SandboxError(f"RUN --network=none needs a network namespace, which {mode} mode does not have", hint=_NEEDS_MOUNTS)
    root = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    account = look_up(root, spec.user)
    _make_devices(root, log)
    _replace_text(root, log, RESOLV_CONF, names)
    _replace_text(root, log, HOSTS, hosts_file(spec))
    _check_each_is_once(spec)
    for mount in spec.mounts:
        _move_in(root, log, mount, mode, devices=devices)
    log.targets.restore_times()
    return PreparedRoot(root, open_cwd(root, spec.cwd, []), account)


def _check_each_is_once(spec: RunSpec) -> None:
    seen: dict[str, str] = {}
    for mount in spec.mounts:
        if isinstance(mount, BindMount) and seen.setdefault(mount.source, mount.target) != mount.target:
            raise SandboxError(
                f"{seen[mount.source]} and {mount.target} are the same directory, which can be in one place without mounts",
                hint=_NEEDS_MOUNTS,
            )


def enter(prepared: PreparedRoot) -> None:
    os.fchdir(prepared.root)
    os.chroot(".")
    os.fchdir(prepared.cwd)


def change_times(root: str, log: UndoLog) -> dict[str, int]:
    """The ctime, in nanoseconds, of what exists in the image and was changed by :func:`prepare`, by path. If it differs later,
    the command has changed the file."""
    made = {path for path, _ in log.targets.made}
    paths = {*log.targets.touched, *(text.path for text in log.texts)} - made - {""}
    with Beneath(root) as files:
        return {path: files.stat(path).st_ctime_ns for path in sorted(paths)}


def undo(base: str, record: UndoRecord) -> None:
    """Change back what a record says; the directories and empty files that were made are left to :func:`.targets.clean`."""
    with opened(base, os.O_PATH | os.O_DIRECTORY) as root:
        for moved in reversed(record.moved):
            with suppress(OSError):
                _move_out(root, moved)
        for path in record.nodes:
            with suppress(OSError):
                _remove_node(root, path)
        for text in record.texts:
            with suppress(OSError):
                _restore_text(root, text)


def _make_devices(root: int, log: UndoLog) -> None:
    with walk(root, "/dev", make="directory") as dev:
        if not dev.is_directory:
            return
        for name, number in DEVICES.items():
            path = "/".join((*dev.names, name))
            with suppress(FileNotFoundError):
                os.stat(name, dir_fd=dev.fd, follow_symlinks=False)
                continue
            with suppress(PermissionError):
                log.targets.note_parent(dev)
                os.mknod(name, 0o666 | stat.S_IFCHR, os.makedev(*number), dir_fd=dev.fd)
                log.nodes.append(path)
                os.chmod(name, 0o666, dir_fd=dev.fd)


def _replace_text(root: int, log: UndoLog, path: str, content: bytes) -> None:
    """Give a system file other bytes for a while; a target that is no regular file or too long is left as it is."""
    with _target(root, log, path, "file") as target:
        state = os.fstat(target.fd)
        if not stat.S_ISREG(state.st_mode) or state.st_size > _MOST_BYTES:
            return
        with open(target.proc, "r+b") as file:
            log.texts.append(ReplacedText("/".join(target.names), file.read(), content, state.st_mtime_ns))
            file.seek(0)
            file.truncate()
            file.write(content)


def _move_in(root: int, log: UndoLog, mount: StepMount, mode: str, *, devices: bool) -> None:
    """Put one mount's files where the command looks for them."""
    if isinstance(mount, BindMount) and not mount.movable:
        raise SandboxError(f"RUN --mount at {mount.target} needs a bind mount, which {mode} mode does not have", hint=_NEEDS_MOUNTS)
    is_file = isinstance(mount, FileMount) or (isinstance(mount, BindMount) and not _is_directory(mount))
    with _target(root, log, mount.target, "file" if is_file else "directory") as target:
        names, is_directory = target.names, target.is_directory
    if is_directory == is_file:
        what = "a directory" if is_directory else "not a directory"
        raise SandboxError(f"cannot mount at {mount.target}: it is {what} in the image")
    if not names:
        raise SandboxError(f"cannot mount at {mount.target} in {mode} mode: it is the root itself")
    try:
        _replace(walk(root, "/".join(names[:-1])), names, log, mount, devices=devices)
    except OSError as error:
        raise SandboxError(f"cannot mount at {mount.target} in {mode} mode: {error.strerror}") from None


def _replace(parent: PathFd, names: Names, log: UndoLog, mount: StepMount, *, devices: bool) -> None:
    with parent:
        log.targets.note_parent(parent)
        _set_aside(log, parent, names, mount)
        match mount:
            case BindMount():
                _move_source(log, parent, names[-1], mount.source, devices=devices)
            case TmpfsMount():
                os.mkdir(names[-1], 0o700, dir_fd=parent.fd)
                os.chmod(names[-1], mount.mode, dir_fd=parent.fd)
            case FileMount():
                _write_file(parent.fd, names[-1], mount)


def _set_aside(log: UndoLog, parent: PathFd, names: Names, mount: StepMount) -> None:
    """Move what is at the target out of the way, and note how it comes back."""
    os.makedirs(log.aside, 0o700, exist_ok=True)
    with opened(log.aside) as aside:
        move_entry(parent.fd, names[-1], aside, str(len(log.moved)))
    source = mount.source if isinstance(mount, BindMount) else ""
    log.moved.append(MovedIn("/".join(names), f"{log.aside}/{len(log.moved)}", source))
    log.targets.foreign.append(names)


def _move_source(log: UndoLog, parent: PathFd, name: str, source: str, *, devices: bool) -> None:
    """Move a directory or file of ours to where the command looks for it, and note which one it is."""
    above, own = os.path.split(source)
    with opened(above) as folder:
        info = os.stat(own, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode) and not devices:
            remove_foreign(folder, own)
        move_entry(folder, own, parent.fd, name)
    info = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
    moved = log.moved[-1]
    log.moved[-1] = MovedIn(moved.path, moved.aside, moved.source, _identity(info))


def _is_directory(mount: BindMount) -> bool:
    fd = open_source(mount)
    try:
        return stat.S_ISDIR(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def _write_file(parent: int, name: str, mount: FileMount) -> None:
    fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=parent)
    with open(fd, "wb") as file:
        file.write(mount.content)
        os.fchown(fd, mount.uid, mount.gid)
        os.fchmod(fd, mount.mode)


def _identity(info: os.stat_result) -> tuple[int, int, int]:
    return info.st_dev, info.st_ino, stat.S_IFMT(info.st_mode)


def _move_out(root: int, moved: MovedIn) -> None:
    """Put back what had been set aside. A directory or file of ours goes back to where it came from, if it is the very one that
    was moved in. Whatever else the command left there is removed."""
    *above, name = parts(moved.path)
    with walk(root, "/".join(above)) as parent:
        with suppress(FileNotFoundError):
            info = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
            if moved.identity == _identity(info):
                _move_back(parent.fd, name, moved.source)
            else:
                remove_below(parent.fd, name)
        folder_of, own = os.path.split(moved.aside)
        with opened(folder_of) as folder:
            move_entry(folder, own, parent.fd, name)


def _move_back(parent: int, name: str, source: str) -> None:
    """What cannot go back to where it came from is removed: a layer never holds it."""
    above, own = os.path.split(source)
    try:
        with opened(above) as folder:
            move_entry(parent, name, folder, own)
    except OSError:
        remove_below(parent, name)


def _target(root: int, log: UndoLog, path: str, file_type: FileType) -> PathFd:
    try:
        return walk(root, path, file_type, log.targets.on_make)
    except OSError as error:
        raise SandboxError(f"cannot make {path} in the image: {error.strerror}") from None


def _restore_text(root: int, text: ReplacedText) -> None:
    *above, name = parts(text.path)
    with walk(root, "/".join(above)) as parent:
        fd = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent.fd)
        with open(fd, "r+b") as file:
            if file.read(len(text.content) + 1) != text.content:
                return
            file.seek(0)
            file.truncate()
            file.write(text.original)
            file.flush()
            os.utime(fd, ns=(os.fstat(fd).st_atime_ns, text.mtime_ns))


def _remove_node(root: int, path: str) -> None:
    *above, name = parts(path)
    with walk(root, "/".join(above)) as parent:
        if stat.S_ISCHR(os.stat(name, dir_fd=parent.fd, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent.fd)
