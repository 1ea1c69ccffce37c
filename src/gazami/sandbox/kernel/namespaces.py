"""The namespaces that the fork server lives in: entered once, by a process that has one thread.

A user namespace gets its ids from a process that stayed outside: it writes the own ids one to one (root in a
container), or runs newuidmap and newgidmap with the ranges of /etc/subuid and /etc/subgid (a normal user).
"""

from __future__ import annotations

import fcntl
import os
import pwd
import signal
import socket
import struct
from contextlib import suppress
from typing import Literal

from gazami.errors import SandboxError
from gazami.sandbox.kernel import linux
from gazami.sandbox.kernel.linux import CLONE_NEWNS, CLONE_NEWUSER, MS_PRIVATE, MS_REC

Ids = Literal["identity", "subordinate", "single"]
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_PROGRAMS = ("/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin", "/sbin")


def enter_mount_namespace() -> None:
    """Make mounts from here on private: no other process sees them, and later mounts of others do not appear here."""
    linux.unshare(CLONE_NEWNS)
    linux.mount(None, "/", None, MS_REC | MS_PRIVATE)


def enter_user_namespace(ids: Ids) -> None:
    """Become uid 0 of a new user namespace. Raises SandboxError that says what is missing."""
    if ids == "single":
        enter_with_one_id(0, 0)
        return
    mapper = _start_mapper(ids)
    try:
        linux.unshare(CLONE_NEWUSER)
    except OSError as error:
        mapper.give_up()
        raise SandboxError(f"user namespaces are refused: {error.strerror}") from None
    mapper.write_maps()
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def enter_with_one_id(uid: int, gid: int) -> None:
    """A new user namespace in which the own ids are ``uid`` and ``gid`` and there are no others; needs no privilege
    (user_namespaces(7)). Raises SandboxError."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    try:
        linux.unshare(CLONE_NEWUSER)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {outer_uid} 1"), ("gid_map", f"{gid} {outer_gid} 1")):
            with open(f"/proc/self/{name}", "wb", buffering=0) as file:
                file.write(text.encode())
    except OSError as error:
        raise SandboxError(f"user namespaces are refused: {error.strerror}") from None


def raise_loopback() -> None:
    """Switch on ``lo`` of a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def own_ids() -> Ids:
    return "identity" if os.geteuid() == 0 else "subordinate"


def number_of_ids() -> int:
    """How many user ids exist in the own user namespace."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return sum(int(line.split()[2]) for line in file)


def subordinate_ranges(path: str, names: tuple[str, ...]) -> list[tuple[int, int]]:
    """The ``(first id, count)`` that a file such as /etc/subuid gives to one of ``names``."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip().split(":") for line in file]
    except OSError:
        return []
    return [
        (int(fields[1]), int(fields[2]))
        for fields in lines
        if len(fields) == 3 and fields[0] in names and fields[1].isdigit() and fields[2].isdigit()
    ]


def identity_map(text: str) -> str:
    """The map that keeps every id of the map ``text`` (as in /proc/self/uid_map) what it is."""
    rows = [line.split() for line in text.splitlines()]
    return "".join(f"{inside} {inside} {count}\n" for inside, _, count in rows)


class _Mapper:
    """The process outside: it waits for one byte, writes the maps of its parent, and says how that went."""

    def __init__(self, pid: int, go: int, answer: int) -> None:
        self._pid = pid
        self._go = go
        self._answer = answer

    def give_up(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self._finish()

    def write_maps(self) -> None:
        os.write(self._go, b"g")
        message = self._finish()
        if message != "ok":
            raise SandboxError(message or "the process that maps ids died")

    def _finish(self) -> str:
        os.close(self._go)
        with open(self._answer, "rb") as answer:
            text = answer.read().decode(errors="replace")
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        return text


def _start_mapper(ids: Ids) -> _Mapper:
    go_read, go_write = os.pipe()
    answer_read, answer_write = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.close(go_read)
        os.close(answer_write)
        return _Mapper(pid, go_write, answer_read)
    answer = "the process that maps ids failed"
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(go_write)
        if os.read(go_read, 1):
            if ids == "identity":
                _write_identity(parent)
            else:
                _write_subordinate(parent)
            answer = "ok"
    except SandboxError as error:
        answer = error.message
    except OSError as error:
        answer = f"ids cannot be mapped: {error.strerror} (capabilities SETUID, SETGID and SETFCAP are needed)"
    finally:
        os.write(answer_write, answer.encode())
        os._exit(0)


def _write_identity(pid: int) -> None:
    for name in ("gid_map", "uid_map"):
        with open(f"/proc/self/{name}", encoding="ascii") as own:
            text = identity_map(own.read())
        with open(f"/proc/{pid}/{name}", "wb", buffering=0) as file:
            file.write(text.encode())


def _write_subordinate(pid: int) -> None:
    uid, gid = os.getuid(), os.getgid()
    names: tuple[str, ...] = (str(uid),)
    with suppress(KeyError):
        names = (pwd.getpwuid(uid).pw_name, str(uid))
    for program, own, path in (("newuidmap", uid, "/etc/subuid"), ("newgidmap", gid, "/etc/subgid")):
        ranges = subordinate_ranges(path, names)
        if not ranges:
            raise SandboxError(f"{path} has no range of ids for {names[0]}")
        arguments, inside = ["0", str(own), "1"], 1
        for first, count in ranges:
            arguments += [str(inside), str(first), str(count)]
            inside += count
        _run_map_program(program, [str(pid), *arguments])


def _run_map_program(program: str, arguments: list[str]) -> None:
    found = next((f"{folder}/{program}" for folder in _PROGRAMS if os.access(f"{folder}/{program}", os.X_OK)), None)
    if found is None:
        raise SandboxError(f"{program} is not installed (package uidmap or shadow-utils)")
    import subprocess  # worth its time only here

    command = [found, *arguments]
    out = subprocess.STDOUT
    done = subprocess.run(command, env={"PATH": ":".join(_PROGRAMS)}, stdout=subprocess.PIPE, stderr=out, check=False)
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace").strip()
        raise SandboxError(f"{program} failed: {said or 'no reason given'}")
