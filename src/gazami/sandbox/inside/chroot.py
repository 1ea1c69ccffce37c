"""The root of one command where nothing can be mounted: a plain directory, lent a few things that are taken back.

Device nodes are made and removed; /etc/resolv.conf and /etc/hosts get the host's name servers and names and their own bytes
back. What a mount would bring is moved there by rename(2) for as long as the command runs, and what the image has at that
place is set aside meanwhile: a directory of ours (a cache, files laid out for the step), a new directory for a tmpfs, a
file with bytes of our own. What the command itself changed stays changed. In ``chroot`` mode there is no /proc and no /sys.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gazami.errors import SandboxError
from gazami.layer.beneath import Beneath, remove_below
from gazami.sandbox.inside.devices import DEVICES, remove_foreign
from gazami.sandbox.inside.moving import move_entry
from gazami.sandbox.inside.paths import Kind, Names, Place, parts, walk
from gazami.sandbox.inside.root_setup import RESOLV_CONF, Room, hosts_file, look_up, open_cwd, open_source
from gazami.sandbox.inside.targets import Targets
from gazami.sandbox.spec import BindMount, FileMount, PlainRoot, RunSpec, StepMount, TmpfsMount

_MOST_BYTES = 1 << 20
_NEEDS_MOUNTS = "Give the builder CAP_SYS_ADMIN or user namespaces; `gazami doctor` says what is missing."


class Loan:
    """What was lent to the root; as JSON it goes to the process that takes it back with :func:`take_back`. ``aside`` is a
    directory on the root's file system for what has to make room; it is made when it is needed."""

    def __init__(self, targets: Targets, aside: str) -> None:
        self.targets = targets
        self.aside = aside
        self.files: list[dict[str, Any]] = []
        self.nodes: list[str] = []
        self.placed: list[dict[str, Any]] = []

    def to_json(self) -> dict[str, Any]:
        return {"files": self.files, "nodes": self.nodes, "placed": self.placed}


def furnish(spec: RunSpec, loan: Loan, mode: str, names: bytes, *, devices: bool) -> Room:
    """Prepare ``spec.root``; raises SandboxError for what needs a mount or a namespace. ``mode`` is for the messages,
    ``names`` the text of /etc/resolv.conf. ``devices``: nodes for any device may lie in the root."""
    if not isinstance(spec.root, PlainRoot):
        raise SandboxError(f"an overlay root needs a mount, which {mode} mode does not have")
    if spec.network == "none":
        raise SandboxError(
            f"RUN --network=none needs a network namespace, which {mode} mode does not have", hint=_NEEDS_MOUNTS
        )
    root = os.open(spec.root.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    account = look_up(root, spec.user)
    _make_devices(root, loan)
    _lend_text(root, loan, RESOLV_CONF, names)
    _lend_text(root, loan, "/etc/hosts", hosts_file(spec))
    _check_each_is_once(spec)
    for mount in spec.mounts:
        _place(root, loan, mount, mode, devices=devices)
    loan.targets.restore_times()
    return Room(root, open_cwd(root, spec.cwd, []), account)


def _check_each_is_once(spec: RunSpec) -> None:
    seen: dict[str, str] = {}
    for mount in spec.mounts:
        if isinstance(mount, BindMount) and seen.setdefault(mount.source, mount.target) != mount.target:
            raise SandboxError(
                f"{seen[mount.source]} and {mount.target} are the same directory, which can be in one place without mounts",
                hint=_NEEDS_MOUNTS,
            )


def enter(room: Room) -> None:
    os.fchdir(room.root)
    os.chroot(".")
    os.fchdir(room.cwd)


def change_times(root: str, loan: Loan) -> dict[str, int]:
    """The ctime, in nanoseconds, of what exists in the image and was changed for the loan, by path: one that is another later
    is the command's doing."""
    made = {path for path, _ in loan.targets.made}
    paths = {*loan.targets.touched, *(item["path"] for item in loan.files)} - made - {""}
    with Beneath(root) as files:
        return {path: files.stat(path).st_ctime_ns for path in paths}


def take_back(base: str, loan: dict[str, Any]) -> None:
    """Undo a loan; the directories and empty files that it made are left to :func:`._targets.clean`."""
    root = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for item in reversed(loan["placed"]):
            with suppress(OSError):
                _take_away(root, item)
        for path in loan["nodes"]:
            with suppress(OSError):
                _remove_node(root, path)
        for item in loan["files"]:
            with suppress(OSError):
                _take_back_file(root, item)
    finally:
        os.close(root)


def _make_devices(root: int, loan: Loan) -> None:
    dev = walk(root, "/dev", make="directory")
    if not dev.is_directory:
        dev.close()
        return
    try:
        for name, number in DEVICES.items():
            path = "/".join((*dev.names, name))
            with suppress(FileNotFoundError):
                os.stat(name, dir_fd=dev.fd, follow_symlinks=False)
                continue
            with suppress(PermissionError):
                loan.targets.note_parent(dev)
                os.mknod(name, 0o666 | stat.S_IFCHR, os.makedev(*number), dir_fd=dev.fd)
                loan.nodes.append(path)
                os.chmod(name, 0o666, dir_fd=dev.fd)
    finally:
        dev.close()


def _lend_text(root: int, loan: Loan, path: str, content: bytes) -> None:
    """Give a system file other bytes for a while; a target that is no regular file or too long is left as it is."""
    place = _target(root, loan, path, "file")
    try:
        state = os.fstat(place.fd)
        if not stat.S_ISREG(state.st_mode) or state.st_size > _MOST_BYTES:
            return
        with open(place.proc, "r+b") as file:
            original = file.read()
            item = {"path": "/".join(place.names), "original": _encode(original), "mtime_ns": state.st_mtime_ns}
            loan.files.append({**item, "content": _encode(content)})
            file.seek(0)
            file.truncate()
            file.write(content)
    finally:
        place.close()


def _place(root: int, loan: Loan, mount: StepMount, mode: str, *, devices: bool) -> None:
    """Put one mount's files where the command looks for them."""
    if isinstance(mount, BindMount) and not mount.movable:
        raise SandboxError(
            f"RUN --mount at {mount.target} needs a bind mount, which {mode} mode does not have", hint=_NEEDS_MOUNTS
        )
    source = mount.source if isinstance(mount, BindMount) else None
    is_file = isinstance(mount, FileMount) or (isinstance(mount, BindMount) and not _is_directory(mount))
    target = _target(root, loan, mount.target, "file" if is_file else "directory")
    names, is_directory = target.names, target.is_directory
    target.close()
    if is_directory == is_file:
        what = "a directory" if is_directory else "not a directory"
        raise SandboxError(f"cannot mount at {mount.target}: it is {what} in the image")
    if not names:
        raise SandboxError(f"cannot mount at {mount.target} in {mode} mode: it is the root itself")
    parent = walk(root, "/".join(names[:-1]))
    try:
        loan.targets.note_parent(parent)
        _set_aside(loan, parent, names, source)
        match mount:
            case BindMount():
                _lend(loan, parent, names[-1], mount.source, devices=devices)
            case TmpfsMount():
                os.mkdir(names[-1], 0o700, dir_fd=parent.fd)
                os.chmod(names[-1], mount.mode, dir_fd=parent.fd)
            case FileMount():
                _write_file(parent.fd, names[-1], mount)
    except OSError as error:
        raise SandboxError(f"cannot mount at {mount.target} in {mode} mode: {error.strerror}") from None
    finally:
        parent.close()


def _set_aside(loan: Loan, parent: Place, names: Names, source: str | None) -> None:
    """Move what is at the place out of the way, and note how it comes back."""
    os.makedirs(loan.aside, 0o700, exist_ok=True)
    with _folder(loan.aside) as aside:
        move_entry(parent.fd, names[-1], aside, str(len(loan.placed)))
    loan.placed.append({"path": "/".join(names), "aside": f"{loan.aside}/{len(loan.placed)}", "source": source})
    loan.targets.foreign.append(names)


def _lend(loan: Loan, parent: Place, name: str, source: str, *, devices: bool) -> None:
    """Move a directory or file of ours to where the command looks for it, and note which one it is."""
    above, own = os.path.split(source)
    with _folder(above) as folder:
        info = os.stat(own, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode) and not devices:
            remove_foreign(folder, own)
        move_entry(folder, own, parent.fd, name)
    info = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
    loan.placed[-1]["identity"] = (info.st_dev, info.st_ino, stat.S_IFMT(info.st_mode))


def _is_directory(mount: BindMount) -> bool:
    fd = open_source(mount)
    try:
        return stat.S_ISDIR(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


@contextmanager
def _folder(path: str) -> Iterator[int]:
    """A directory of the build's own."""
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _write_file(parent: int, name: str, mount: FileMount) -> None:
    fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=parent)
    with open(fd, "wb") as file:
        file.write(base64.b64decode(mount.content))
        os.fchown(fd, mount.uid, mount.gid)
        os.fchmod(fd, mount.mode)


def _take_away(root: int, item: dict[str, Any]) -> None:
    """Take what was placed away again, and put back what had been set aside. A directory or file of ours goes back to where it
    came from, if it is the very one that was lent; whatever else the command left in its place is nobody's, and is removed."""
    *above, name = parts(item["path"])
    parent = walk(root, "/".join(above))
    try:
        with suppress(FileNotFoundError):
            info = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
            if tuple(item.get("identity", ())) == (info.st_dev, info.st_ino, stat.S_IFMT(info.st_mode)):
                _give_back(parent.fd, name, item["source"])
            else:
                remove_below(parent.fd, name)
        source, own = os.path.split(item["aside"])
        with _folder(source) as folder:
            move_entry(folder, own, parent.fd, name)
    finally:
        parent.close()


def _give_back(parent: int, name: str, source: str) -> None:
    """What cannot go back where it came from goes nowhere: a layer never holds it."""
    above, own = os.path.split(source)
    try:
        with _folder(above) as folder:
            move_entry(parent, name, folder, own)
    except OSError:
        remove_below(parent, name)


def _target(root: int, loan: Loan, path: str, kind: Kind) -> Place:
    try:
        return walk(root, path, kind, loan.targets.on_make)
    except OSError as error:
        raise SandboxError(f"cannot make {path} in the image: {error.strerror}") from None


def _take_back_file(root: int, item: dict[str, Any]) -> None:
    *above, name = parts(item["path"])
    parent = walk(root, "/".join(above))
    try:
        fd = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent.fd)
        with open(fd, "r+b") as file:
            content = base64.b64decode(item["content"])
            if file.read(len(content) + 1) != content:
                return
            file.seek(0)
            file.truncate()
            file.write(base64.b64decode(item["original"]))
            file.flush()
            os.utime(fd, ns=(os.fstat(fd).st_atime_ns, item["mtime_ns"]))
    finally:
        parent.close()


def _remove_node(root: int, path: str) -> None:
    *above, name = parts(path)
    parent = walk(root, "/".join(above))
    try:
        if stat.S_ISCHR(os.stat(name, dir_fd=parent.fd, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent.fd)
    finally:
        parent.close()


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
