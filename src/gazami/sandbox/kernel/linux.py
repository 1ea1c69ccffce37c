"""The Linux system calls that Python does not wrap, by number, through ctypes.

Every function raises OSError with the kernel's errno. Numbers are those of x86_64 and aarch64; calls added since
Linux 5.0 have one number on all architectures.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_REMOUNT: Final = 0x20
MS_NOATIME: Final = 0x400
MS_NODIRATIME: Final = 0x800
MS_BIND: Final = 0x1000
MS_MOVE: Final = 0x2000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000
MNT_DETACH: Final = 2

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_NAME: Final = 15
PR_SET_SECCOMP: Final = 22
PR_CAPBSET_READ: Final = 23
PR_CAPBSET_DROP: Final = 24
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
SECCOMP_MODE_FILTER: Final = 2

AT_FDCWD: Final = -100
AT_EMPTY_PATH: Final = 0x1000
AT_RECURSIVE: Final = 0x8000
MOUNT_ATTR_RDONLY: Final = 1
MOUNT_ATTR_NODEV: Final = 4
FSCONFIG_SET_FLAG: Final = 0
FSCONFIG_SET_STRING: Final = 1
FSCONFIG_CMD_CREATE: Final = 6
CLOEXEC: Final = 1
MOVE_MOUNT_F_EMPTY_PATH: Final = 4

MACHINE: Final = os.uname().machine
_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}.get(MACHINE, 155)
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}.get(MACHINE, 126)
_CAPGET: Final = {"x86_64": 125, "aarch64": 90}.get(MACHINE, 125)
_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}.get(MACHINE, 317)
_FCHOWNAT: Final = {"x86_64": 260, "aarch64": 54}.get(MACHINE, 260)
_SET_MODE_FILTER: Final = 1
_NEW_LISTENER: Final = 8
_OPENAT2: Final = 437
_RESOLVE_IN_ROOT: Final = 0x10
_MOVE_MOUNT: Final = 429
_FSOPEN: Final = 430
_FSCONFIG: Final = 431
_FSMOUNT: Final = 432
_CLOSE_RANGE: Final = 436
_MOUNT_SETATTR: Final = 442
_CAPABILITY_VERSION_3: Final = 0x20080522

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _failed(what: str, path: str | None = None) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}", path)


def _syscall(what: str, number: int, *arguments: int | str | bytes | None) -> int:
    """A raw system call; integers are passed as 64 bits, text as UTF-8."""
    converted: list[object] = []
    for argument in arguments:
        if isinstance(argument, int):
            converted.append(ctypes.c_long(argument))
        elif isinstance(argument, str):
            converted.append(ctypes.c_char_p(os.fsencode(argument)))
        else:
            converted.append(ctypes.c_char_p(argument))
    result: int = _libc.syscall(ctypes.c_long(number), *converted)
    if result < 0:
        raise _failed(what)
    return result


def unshare(flags: int) -> None:
    if _libc.unshare(ctypes.c_int(flags)) != 0:
        raise _failed("unshare")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2). ``data`` has to be shorter than a page."""
    values = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    if _libc.mount(values[0], values[1], values[2], ctypes.c_ulong(flags), values[3]) != 0:
        raise _failed(f"mount {kind or source or 'flags'}", target)


def umount(target: str, flags: int = 0) -> None:
    if _libc.umount2(os.fsencode(target), ctypes.c_int(flags)) != 0:
        raise _failed("umount", target)


def pivot_root(new: str, old: str) -> None:
    _syscall("pivot_root", _PIVOT_ROOT, new, old)


def sethostname(name: str) -> None:
    data = os.fsencode(name)
    if _libc.sethostname(data, ctypes.c_size_t(len(data))) != 0:
        raise _failed("sethostname")


def prctl(option: int, argument: int = 0, second: int = 0) -> int:
    zero = ctypes.c_ulong(0)
    result: int = _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(argument), ctypes.c_ulong(second), zero, zero)
    if result < 0:
        raise _failed("prctl")
    return result


def set_name(name: str) -> None:
    """The process name that ``ps`` and /proc/PID/comm show (15 bytes)."""
    buffer = ctypes.create_string_buffer(os.fsencode(name)[:15])
    prctl(PR_SET_NAME, ctypes.addressof(buffer))


def fsopen(kind: str) -> int:
    return _syscall("fsopen", _FSOPEN, kind, CLOEXEC)


def fsconfig(context: int, command: int, key: str | None = None, value: str | None = None) -> None:
    _syscall("fsconfig", _FSCONFIG, context, command, key, value, 0)


def fsmount(context: int, attributes: int = 0) -> int:
    return _syscall("fsmount", _FSMOUNT, context, CLOEXEC, attributes)


def move_mount(mount_fd: int, target: str) -> None:
    _syscall("move_mount", _MOVE_MOUNT, mount_fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH)


def mount_restrict(mount_fd: int, attributes: int) -> None:
    """mount_setattr(2) with AT_RECURSIVE (Linux ≥ 5.12): ``mount_fd`` and what is mounted below get ``MOUNT_ATTR_…``."""
    given = attributes.to_bytes(8, "little") + bytes(24)
    _syscall("mount_setattr", _MOUNT_SETATTR, mount_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, given, len(given))


def close_from(first: int) -> None:
    """Close every file descriptor ≥ ``first``."""
    try:
        _syscall("close_range", _CLOSE_RANGE, first, 0x7FFFFFFF, 0)
    except OSError:
        os.closerange(first, 65536)


def get_capabilities() -> tuple[int, int]:
    """(effective, permitted) of this process as bit sets."""
    header = ctypes.create_string_buffer(_CAPABILITY_VERSION_3.to_bytes(4, "little") + bytes(4), 8)
    data = (ctypes.c_uint32 * 6)()
    if _libc.syscall(ctypes.c_long(_CAPGET), header, data) != 0:
        raise _failed("capget")
    return data[0] | data[3] << 32, data[1] | data[4] << 32


def set_capabilities(permitted: int) -> None:
    """Make ``permitted`` the permitted and effective set and empty the inheritable one."""
    header = ctypes.create_string_buffer(_CAPABILITY_VERSION_3.to_bytes(4, "little") + bytes(4), 8)
    low, high = permitted & 0xFFFFFFFF, permitted >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    if _libc.syscall(ctypes.c_long(_CAPSET), header, data) != 0:
        raise _failed("capset")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def load_seccomp(program: bytes) -> None:
    """Install a BPF ``program`` (8 bytes an instruction). Needs CAP_SYS_ADMIN in the own user namespace."""
    header = _Program(len(program) // 8, program)
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(header))


def load_seccomp_listener(program: bytes) -> int:
    """Install a BPF ``program`` whose SECCOMP_RET_USER_NOTIF go to the descriptor that is returned (seccomp(2))."""
    header = _Program(len(program) // 8, program)
    result: int = _libc.syscall(
        ctypes.c_long(_SECCOMP), ctypes.c_long(_SET_MODE_FILTER), ctypes.c_long(_NEW_LISTENER), ctypes.byref(header)
    )
    if result < 0:
        raise _failed("seccomp")
    return result


def chown_descriptor(fd: int, uid: int, gid: int) -> None:
    """fchownat(2) with AT_EMPTY_PATH, which takes O_PATH descriptors."""
    _syscall("fchownat", _FCHOWNAT, fd, "", uid, gid, AT_EMPTY_PATH)


def open_in_root(root: int, path: str, flags: int) -> int:
    """openat2(2) (Linux ≥ 5.6) with RESOLVE_IN_ROOT: ``root`` is ``/`` for the path and for all links on its way."""
    how = flags.to_bytes(8, "little") + bytes(8) + _RESOLVE_IN_ROOT.to_bytes(8, "little")
    return _syscall("openat2", _OPENAT2, root, path, how, len(how))


def overwrite_title(title: str) -> None:
    """Replace the command line that ``ps`` shows, so that a step cannot read paths of the host from it."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    text = os.fsencode(title)[: max(0, end - start - 1)]
    if end > start > 0:
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, text, len(text))
