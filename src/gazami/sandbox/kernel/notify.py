"""Changes of owner in a user namespace that has one id, recorded instead of made (seccomp_unotify(2)).

Theory of operation. chown(2) to another id is EINVAL there, and setgroups(2), setuid(2) and mknod(2) of devices fail;
installers give up. A filter hands these few calls to a supervisor, a thread of the init process, while the caller waits. It
finds the file that is meant through /proc/PID, chowns it to the one id there is (so that an overlay copies it up, and
set-id bits go as they should), and notes what was asked for in an attribute of the file. Ids that a process sets are only
pretended. stat(2) is not touched: inside, everything belongs to the one id.

The whole call costs about 0.1 ms, and there are a few hundred in a package installation. Nothing is decided for security by what
is read from the caller's memory: the caller could do everything to its files itself.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import stat
import struct
import threading
from contextlib import suppress

from gazami.layer.recorded_owner import Recorded, record, recorded
from gazami.sandbox.kernel import linux, seccomp_table
from gazami.values import fast_dataclass, field

_RECEIVE = 0xC0502100
_SEND = 0xC0182101
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_CONTINUE = 1
_KEEP = 0xFFFFFFFF
_AT_FDCWD = 0xFFFFFF9C
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_EMPTY_PATH = 0x1000
_MOST_PATH = 4096

_OWNERS = ("chown", "lchown", "fchown", "fchownat")
_NODES = ("mknod", "mknodat")
_IDS = ("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups")
_ARCHITECTURES = {"x86_64": (0xC000003E, seccomp_table.X86_64), "aarch64": (0xC00000B7, seccomp_table.AARCH64)}


def filter_program(machine: str) -> bytes | None:
    """The BPF program that hands the calls over; None for a machine without a seccomp_table."""
    if machine not in _ARCHITECTURES:
        return None
    architecture, text = _ARCHITECTURES[machine]
    numbers = sorted(_watched(text))
    load, equal, give, allow, notify = 0x20, 0x15, 0x06, 0x7FFF0000, 0x7FC00000
    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, allow), (load, 0, 0, 0)]
    for position, number in enumerate(numbers):
        program.append((equal, len(numbers) - position, 0, number))
    program += [(give, 0, 0, allow), (give, 0, 0, notify)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _watched(text: str) -> dict[int, str]:
    known = seccomp_table.numbers(text)
    return {known[name]: name for name in (*_OWNERS, *_NODES, *_IDS) if name in known}


@fast_dataclass(slots=True)
class Supervisor:
    """``uid`` and ``gid`` are the command's: what it may do, and who owns what it makes. ``others`` are owners of what can
    have no attribute, by device and inode."""

    channel: socket.socket
    uid: int
    gid: int
    others: dict[tuple[int, int], Recorded] = field(default_factory=dict)
    pretended: set[int] = field(default_factory=set)
    _names: dict[int, str] = field(default_factory=dict)

    def start(self) -> None:
        """Take the listener from the command's process and serve it in a thread until no process is left that has the filter."""
        self._names = _watched(_ARCHITECTURES[linux.MACHINE][1])
        threading.Thread(target=self._serve, name="owners", daemon=True).start()

    def _serve(self) -> None:
        with self.channel:
            _, descriptors, _, _ = socket.recv_fds(self.channel, 1, 1)
        if not descriptors:
            return
        listener = descriptors[0]
        poller = select.poll()
        poller.register(listener, select.POLLIN)
        while True:
            [(_, event)] = poller.poll()
            if not event & select.POLLIN:
                os.close(listener)
                return
            buffer = bytearray(_NOTIFICATION.size)
            with suppress(OSError):  # the caller was killed
                fcntl.ioctl(listener, _RECEIVE, buffer, True)
                fcntl.ioctl(listener, _SEND, bytearray(self._answer(*_NOTIFICATION.unpack(buffer))), True)

    def _answer(self, identity: int, pid: int, flags: int, number: int, architecture: int, at: int, *words: int) -> bytes:
        name = self._names.get(number, "")
        try:
            if name in _OWNERS:
                self._change_owner(pid, name, words)
            elif name in _NODES and not self._make_device(pid, name, words):
                return _RESPONSE.pack(identity, 0, 0, _CONTINUE)
            elif name in _IDS:
                self._pretend(name, words)
        except OSError as error:
            return _RESPONSE.pack(identity, 0, -(error.errno or errno.EPERM), 0)
        except Exception:  # a caller that gets no answer waits for ever
            return _RESPONSE.pack(identity, 0, -errno.EIO, 0)
        return _RESPONSE.pack(identity, 0, 0, 0)

    def _pretend(self, name: str, words: tuple[int, ...]) -> None:
        """Let a process believe that it has other ids."""
        if name != "setgroups":
            asked = [word & _KEEP for word in words[: 1 if name in ("setuid", "setgid", "setfsuid", "setfsgid") else 2]]
            self.pretended.update(word for word in asked if word not in (_KEEP, 0, self.uid, self.gid))

    # -- files ----------------------------------------------------------------------------------------------------

    def _change_owner(self, pid: int, name: str, words: tuple[int, ...]) -> None:
        match name:
            case "fchown":
                fd, (uid, gid) = _open_descriptor(pid, words[0]), words[1:3]
            case "fchownat":
                fd, (uid, gid) = _open(pid, words[0], words[1], follow=not words[4] & _AT_SYMLINK_NOFOLLOW,
                                       empty=bool(words[4] & _AT_EMPTY_PATH)), words[2:4]  # fmt: skip
            case _:
                fd, (uid, gid) = _open(pid, _AT_FDCWD, words[0], follow=name == "chown"), words[1:3]
        try:
            self._record(fd, uid & _KEEP, gid & _KEEP)
        finally:
            os.close(fd)

    def _record(self, fd: int, uid: int, gid: int) -> None:
        """Note the owner. A command that is not root may only say what is so already."""
        if self.uid and not (uid in (_KEEP, self.uid) and gid in (_KEEP, self.gid)):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        linux.chown_descriptor(fd, 0, 0)
        path, info = f"/proc/self/fd/{fd}", os.fstat(fd)
        plain = stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)
        key = (info.st_dev, info.st_ino)
        known = recorded(path, follow=True) if plain else self.others.get(key)
        was = known or Recorded(self.uid, self.gid)
        as_seen = (known is None or was.as_seen) and (uid, gid) == (0, 0)
        new = Recorded(was.uid if uid == _KEEP else uid, was.gid if gid == _KEEP else gid, was.device, as_seen)
        if plain:
            record(path, new)
        else:
            self.others[key] = new

    def _make_device(self, pid: int, name: str, words: tuple[int, ...]) -> bool:
        """An empty file that stands for a device; False when it is none, and the kernel can make it."""
        folder, path, mode, number = (_AT_FDCWD, *words[:3]) if name == "mknod" else words[:4]
        if not (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)):
            return False
        if self.uid or not number:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        parent, base = _parent(pid, folder, path)
        try:
            fd = os.open(base, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=parent)
        finally:
            os.close(parent)
        try:
            os.fchmod(fd, stat.S_IMODE(mode) & ~_umask(pid))
            letter = "c" if stat.S_ISCHR(mode) else "b"
            record(f"/proc/self/fd/{fd}", Recorded(self.uid, self.gid, (letter, os.major(number), os.minor(number))))
        finally:
            os.close(fd)
        return True

    def changed_links(self, root: str, changes: str) -> dict[str, tuple[int, int]]:
        """The paths of what is in ``others``, of the files below ``changes`` as they are seen below ``root``, with owners."""
        found: dict[str, tuple[int, int]] = {}
        folders = [""] if self.others else []
        device = os.stat(changes).st_dev
        while folders:
            base = folders.pop()
            with os.scandir(f"{changes}/{base}") as entries:
                for entry in entries:
                    path = f"{base}/{entry.name}" if base else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if entry.stat(follow_symlinks=False).st_dev == device:
                            folders.append(path)
                        continue
                    with suppress(OSError):
                        info = os.lstat(f"{root}/{path}")
                        if owner := self.others.get((info.st_dev, info.st_ino)):
                            found[path] = (owner.uid, owner.gid)
        return found


def install(program: bytes, channel: socket.socket) -> None:
    """Give this process the filter and send its listener to the supervisor. Raises OSError."""
    listener = linux.load_seccomp_listener(program)
    try:
        socket.send_fds(channel, [b"l"], [listener])
    finally:
        os.close(listener)
        channel.close()


# -- the caller's view ----------------------------------------------------------------------------------------------------


def _open_descriptor(pid: int, number: int) -> int:
    return os.open(f"/proc/{pid}/fd/{_signed(number)}", os.O_PATH | os.O_CLOEXEC)


def _open(pid: int, folder: int, address: int, *, follow: bool, empty: bool = False) -> int:
    """The file that a path in the caller's memory means, relative to its directory ``folder``."""
    path = _text(pid, address)
    if not path:
        if not empty:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return os.open(_folder(pid, folder), os.O_PATH | os.O_CLOEXEC)
    return _look_up(pid, folder, path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))


def _parent(pid: int, folder: int, address: int) -> tuple[int, str]:
    head, _, base = _text(pid, address).rstrip("/").rpartition("/")
    path = f"{head}/" if head or _text(pid, address).startswith("/") else "."
    return _look_up(pid, folder, path, os.O_PATH | os.O_DIRECTORY), base


def _look_up(pid: int, folder: int, path: str, flags: int) -> int:
    root = f"/proc/{pid}/root"
    if not os.path.samestat(os.stat(root), os.stat("/")):
        start = os.open(root if path.startswith("/") else _folder(pid, folder), os.O_PATH | os.O_CLOEXEC)
        try:  # a caller in a chroot: its links are not to lead to our root
            return linux.open_in_root(start, path, flags | os.O_CLOEXEC)
        finally:
            os.close(start)
    found = path if path.startswith("/") else f"{_folder(pid, folder)}/{path}"
    return os.open(found, flags | os.O_CLOEXEC)


def _folder(pid: int, number: int) -> str:
    signed = _signed(number)
    return f"/proc/{pid}/cwd" if signed == -100 else f"/proc/{pid}/fd/{signed}"


def _signed(number: int) -> int:
    low = number & _KEEP
    return low - (1 << 32) if low >= 1 << 31 else low


def _text(pid: int, address: int) -> str:
    """A string in the caller's memory."""
    data = b""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        while b"\0" not in data and len(data) < _MOST_PATH:
            piece = memory.read(4096 - (address + len(data)) % 4096)  # not over the end of a page
            if not piece:
                raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
            data += piece
    text, end, _ = data.partition(b"\0")
    if not end:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    return os.fsdecode(text)


def _umask(pid: int) -> int:
    with suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return 0o022
