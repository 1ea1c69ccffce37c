"""Why a program of the root cannot run here, by its first bytes: what a kernel or a shell says of it ("not found") helps nobody.

Looked at from inside the root, after a command failed. The files are the command's own, so only regular ones are opened, and a few
kilobytes read. What is found is a suspicion: the builder tells it where the command's output speaks of the same file.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from gazami.sandbox.spec import Unrunnable

_HEAD = 4096
_MOST_WORDS = 32
_MOST = 8
_LONGEST = 200
_KERNEL = ("/proc/", "/sys/", "/dev/")
"""Whose files are no programs, and act when they are read."""

_SHEBANG = re.compile(rb"#![ \t]*([^\s]+)[^\n\r]*(\r?)(?:\n|\Z)")
_SEPARATORS = re.compile(r"[\s;&|()<>'\"=`]+")
_MACHINES = {3: "i386", 8: "mips", 20: "ppc", 21: "ppc64le", 22: "s390x", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64"}
"""``e_machine`` of elf(5) as platforms call it."""

_RUNS = {
    "x86_64": ("amd64", "i386"), "aarch64": ("arm64", "arm"), "armv7l": ("arm",), "armv6l": ("arm",), "i686": ("i386",),
    "riscv64": ("riscv64",), "s390x": ("s390x",), "ppc64le": ("ppc64le",), "ppc64": ("ppc64le",),
}  # fmt: skip
"""What a machine, as uname calls it, runs itself."""


def suspects(argv: tuple[str, ...], env: Mapping[str, str], cwd: str, machine: str = "") -> tuple[Unrunnable, ...]:
    """Those among the programs that a command names, in its order, and then those that its scripts name."""
    found: list[Unrunnable] = []
    called: dict[str, None] = {}
    for path in _programs(_words(argv), env, cwd):
        with suppress(OSError, struct.error, ValueError):
            if (suspect := look(path, machine or os.uname().machine)) is not None:
                found.append(suspect)
            else:
                called |= dict.fromkeys(_programs(_called(path), env, cwd))
    for path in called:
        with suppress(OSError, struct.error, ValueError):
            if (suspect := look(path, machine or os.uname().machine)) is not None:
                found.append(suspect)
    return tuple(dict.fromkeys(found))[:_MOST]


def look(path: str, machine: str) -> Unrunnable | None:
    """Raises OSError for what is no regular file, or cannot be read."""
    with _opened(path) as descriptor:
        head = os.pread(descriptor, _HEAD, 0)
        if not os.fstat(descriptor).st_mode & 0o111:
            return Unrunnable(path, "mode")
        if head[:4] == b"\x7fELF":
            return _of_elf(path, descriptor, head, machine)
        return _of_script(path, head)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    """A descriptor of a regular file that is not the kernel's: a FIFO would wait, and reading from /proc does something."""
    if os.path.realpath(path).startswith(_KERNEL):
        raise PermissionError(errno.EPERM, "a file of the kernel", path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        yield descriptor
    finally:
        os.close(descriptor)


def _of_script(path: str, head: bytes) -> Unrunnable | None:
    match = _SHEBANG.match(head)
    if match is None:
        return None
    interpreter = match[1].decode("utf-8", "replace")[:_LONGEST]
    if match[2]:
        return Unrunnable(path, "crlf", interpreter)
    return None if os.path.exists(match[1]) else Unrunnable(path, "interpreter", interpreter)


def _of_elf(path: str, descriptor: int, head: bytes, machine: str) -> Unrunnable | None:
    """elf(5): the machine, and the loader that a program header names."""
    order = ">" if head[5] == 2 else "<"
    wanted = _MACHINES.get(struct.unpack_from(f"{order}H", head, 18)[0])
    if wanted is not None and wanted not in _RUNS.get(machine, (wanted,)):
        return Unrunnable(path, "machine", wanted)
    wide = head[4] == 2
    (table,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
    headers = os.pread(descriptor, min(size * count, _HEAD), table)
    for start in range(0, len(headers) - size + 1, size or len(headers) + 1):
        (kind,) = struct.unpack_from(f"{order}I", headers, start)
        if kind == 3:  # PT_INTERP
            layout = (start + 8, start + 32, "Q") if wide else (start + 4, start + 16, "I")
            (offset,) = struct.unpack_from(order + layout[2], headers, layout[0])
            (length,) = struct.unpack_from(order + layout[2], headers, layout[1])
            loader = os.pread(descriptor, min(length, _LONGEST), offset).rstrip(b"\0")
            return None if not loader or os.path.exists(loader) else Unrunnable(path, "loader", loader.decode("utf-8", "replace"))
    return None


def _words(argv: tuple[str, ...]) -> list[str]:
    """The command, and the words of a shell's command that may be some."""
    shell = len(argv) > 2 and argv[1].startswith("-") and argv[1].endswith("c")
    return [*argv[:1], *(_SEPARATORS.split(argv[2]) if shell else ())]


def _called(path: str) -> list[str]:
    """The paths that a script names at its beginning; nothing for any other file."""
    with _opened(path) as descriptor:
        head = os.pread(descriptor, _HEAD, 0)
    if not head.startswith(b"#!"):
        return []
    return [word for word in _SEPARATORS.split(head.decode("utf-8", "replace")) if "/" in word]


def _programs(words: list[str], env: Mapping[str, str], cwd: str) -> Iterator[str]:
    """The paths that words may be programs at."""
    for word in list(dict.fromkeys(word for word in words if word))[:_MOST_WORDS]:
        if "/" in word:
            yield word if word.startswith("/") else f"{cwd}/{word.removeprefix('./')}"
        elif not word.startswith(("-", "$")):
            yield from (f"{folder}/{word}" for folder in env.get("PATH", "").split(":")[:8] if folder.startswith("/"))
