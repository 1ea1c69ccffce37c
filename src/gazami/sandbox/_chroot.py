"""The root of one command where nothing can be mounted: a plain directory, lent a few files that are taken back.

Device nodes are made and removed; /etc/resolv.conf and /etc/hosts get the host's name servers and names and their own bytes
back; a file mount is a file with its content for as long as the command runs; a tmpfs is a directory that is emptied.
What the command itself changed meanwhile stays changed. There is no /proc and no /sys.
"""

from __future__ import annotations

import base64
import os
import stat
from contextlib import suppress
from typing import Any

from gazami.errors import SandboxError
from gazami.sandbox._paths import Kind, Place, empty_directory, parts, walk
from gazami.sandbox._room import DEVICES, Room, hosts_file, look_up, open_cwd, resolv_conf
from gazami.sandbox._targets import Targets
from gazami.sandbox.spec import BindMount, FileMount, PlainRoot, RunSpec, TmpfsMount

_MOST_BYTES = 1 << 20


class Loan:
    """What was lent to the root; as JSON it goes to the process that takes it back with :func:`take_back`."""

    def __init__(self, targets: Targets) -> None:
        self.targets = targets
        self.files: list[dict[str, Any]] = []
        self.nodes: list[str] = []
        self.emptied: list[str] = []

    def to_json(self) -> dict[str, Any]:
        return {"files": self.files, "nodes": self.nodes, "emptied": self.emptied}


def furnish(spec: RunSpec, loan: Loan) -> Room:
    """Prepare ``spec.root``; raises SandboxError for what needs a mount."""
    if not isinstance(spec.root, PlainRoot):
        raise SandboxError("an overlay root needs a mount, which chroot mode does not have")
    if spec.network == "none":
        raise SandboxError(
            "RUN --network=none needs a network namespace, which chroot mode does not have",
            hint="Give the builder CAP_SYS_ADMIN or user namespaces; `gazami doctor` says what is missing.",
        )
    root = os.open(spec.root.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    account = look_up(root, spec.user)
    _make_devices(root, loan)
    _lend_text(root, loan, "/etc/resolv.conf", resolv_conf())
    _lend_text(root, loan, "/etc/hosts", hosts_file(spec))
    for mount in spec.mounts:
        match mount:
            case BindMount():
                raise SandboxError(
                    f"RUN --mount at {mount.target} needs a bind mount, which chroot mode does not have",
                    hint="Give the builder CAP_SYS_ADMIN or user namespaces; `gazami doctor` says what is missing.",
                )
            case TmpfsMount():
                _lend_directory(root, loan, mount)
            case FileMount():
                _lend_file(root, loan, mount)
    loan.targets.restore_times()
    return Room(root, open_cwd(root, spec.cwd), account)


def enter(room: Room) -> None:
    os.fchdir(room.root)
    os.chroot(".")
    os.fchdir(room.cwd)


def take_back(base: str, loan: dict[str, Any]) -> None:
    """Undo a loan; the directories and empty files that it made are left to :func:`._targets.clean`."""
    root = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in loan["emptied"]:
            with suppress(OSError):
                place = walk(root, path)
                empty_directory(place.proc)
                place.close()
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
            loan.files.append({**item, "content": _encode(content), "secret": False})
            file.seek(0)
            file.truncate()
            file.write(content)
    finally:
        place.close()


def _lend_file(root: int, loan: Loan, mount: FileMount) -> None:
    with suppress(OSError):
        walk(root, mount.target).close()
        raise SandboxError(f"cannot mount a file at {mount.target} in chroot mode: the image has something there")
    place = _target(root, loan, mount.target, "file")
    try:
        loan.files.append({"path": "/".join(place.names), "secret": True})
        os.chmod(place.proc, 0o600)
        with open(place.proc, "r+b") as file:
            file.write(base64.b64decode(mount.content))
        os.chown(place.proc, mount.uid, mount.gid)
        os.chmod(place.proc, mount.mode)
    finally:
        place.close()


def _lend_directory(root: int, loan: Loan, mount: TmpfsMount) -> None:
    place = _target(root, loan, mount.target, "directory")
    try:
        if os.listdir(place.proc):
            raise SandboxError(f"cannot mount a tmpfs at {mount.target} in chroot mode: the image has files there")
        loan.emptied.append("/".join(place.names))
    finally:
        place.close()


def _target(root: int, loan: Loan, path: str, kind: Kind) -> Place:
    try:
        return walk(root, path, kind, loan.targets.on_make)
    except OSError as error:
        raise SandboxError(f"cannot make {path} in the image: {error.strerror}") from None


def _take_back_file(root: int, item: dict[str, Any]) -> None:
    *above, name = parts(item["path"])
    parent = walk(root, "/".join(above))
    try:
        if item["secret"]:
            os.unlink(name, dir_fd=parent.fd)
            return
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
