"""Docker's default seccomp filter as a classic BPF program.

The kernel runs the program on every system call with ``struct seccomp_data`` (number, architecture, arguments). System
calls are sorted into intervals of numbers with one verdict each, and a binary tree of comparisons finds the interval, in about ten
instructions instead of hundreds.

* 32-bit x86 programs are served with a table of their own, as Docker does. x32 calls (a bit in the number) get ENOSYS, as from a
  kernel without x32. 32-bit ARM and everything else foreign gets EPERM.
* ``clone`` may not make namespaces; ``clone3`` is ENOSYS, for its flags lie in memory, and C libraries fall back to
  ``clone``. ``personality`` takes Docker's five values; ``socket`` everything but AF_ALG and AF_VSOCK.
* Arguments are compared by their low 32 bits, for the kernel takes these four as 32-bit values itself: what is in the high half
  can neither pass nor fail a call there.
"""

from __future__ import annotations

import errno
import struct
from typing import Final, Literal

from gazami.sandbox.kernel import seccomp_table as table

Verdict = Literal["allow", "deny", "unknown", "clone", "clone3", "personality", "socket"]

_AUDIT_X86_64: Final = 0xC000003E
_AUDIT_I386: Final = 0x40000003
_AUDIT_AARCH64: Final = 0xC00000B7
_X32_BIT: Final = 0x40000000

_LOAD: Final = 0x20
_JUMP: Final = 0x05
_JUMP_EQUAL: Final = 0x15
_JUMP_AT_LEAST: Final = 0x35
_JUMP_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_FIRST_ARGUMENT: Final = 16

_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_EPERM: Final = _ERRNO | errno.EPERM
_ENOSYS: Final = _ERRNO | errno.ENOSYS

_NAMESPACE_FLAGS: Final = 0x7E020000
_PERSONALITIES: Final = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)
_FAMILIES: Final = (38, 40)
"""AF_ALG and AF_VSOCK: the kernel's own cryptography, and the machine that this one is a guest of."""
_CONDITIONAL: Final[dict[str, Verdict]] = {"clone": "clone", "clone3": "clone3", "personality": "personality", "socket": "socket"}

Instruction = tuple[int, int, int, int]
"""Operation, distance when true, distance when false, operand."""


INTO_OTHERS: Final = frozenset(
    {"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp", "pidfd_getfd"}
)
"""Calls that look into other processes or change them: refused where a command sees more than its own."""


def is_filtered() -> bool:
    """Whether this process is under a filter already, as a container runtime's (proc(5), ``Seccomp``)."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        return any(line.split() == ["Seccomp:", "2"] for line in file)


def docker_filter(machine: str, without: frozenset[str] = frozenset()) -> bytes | None:
    """The program for a kernel of ``machine`` (as ``uname -m`` says); None for machines without a table. ``without`` are names of
    calls to refuse besides."""
    match machine:
        case "x86_64":
            tables = [(_AUDIT_X86_64, table.X86_64, _X32_BIT), (_AUDIT_I386, table.I386, None)]
        case "aarch64":
            tables = [(_AUDIT_AARCH64, table.AARCH64, None)]
        case _:
            return None
    program: list[Instruction] = [(_LOAD, 0, 0, _ARCHITECTURE)]
    for architecture, numbers, forbidden_bit in tables:
        program += _section(architecture, _body(verdicts(numbers, without), forbidden_bit))
    program.append((_RETURN, 0, 0, _EPERM))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def verdicts(text: str, without: frozenset[str] = frozenset()) -> list[tuple[int, Verdict]]:
    """A table as ``(first number, verdict)`` of each interval, ascending, from 0; the last one has no end.

    Calls that are newer than the tables get ENOSYS, as from a kernel that lacks them and as from runc, so that C libraries fall
    back to older ones.
    """
    known = table.numbers(text)
    by_number = {number: _CONDITIONAL.get(name, "allow") for name, number in known.items() if name not in without}
    found: list[tuple[int, Verdict]] = []
    for number in range(table.NEWEST + 1):
        verdict: Verdict = by_number.get(number, "deny")
        if not found or found[-1][1] != verdict:
            found.append((number, verdict))
    return [*found, (table.NEWEST + 1, "unknown")]


def _section(architecture: int, body: list[Instruction]) -> list[Instruction]:
    """``body`` for one architecture; others go on behind it."""
    return [(_JUMP_EQUAL, 1, 0, architecture), (_JUMP, 0, 0, len(body)), *body]


def _body(intervals: list[tuple[int, Verdict]], forbidden_bit: int | None) -> list[Instruction]:
    body: list[Instruction] = [(_LOAD, 0, 0, _NUMBER)]
    if forbidden_bit is not None:
        body += [(_JUMP_ANY_BIT, 0, 1, forbidden_bit), (_RETURN, 0, 0, _ENOSYS)]
    return body + _tree(intervals)


def _tree(intervals: list[tuple[int, Verdict]]) -> list[Instruction]:
    """Find the interval of the loaded number. Conditional jumps reach only 255 instructions, so a plain jump does the far ones."""
    if len(intervals) == 1:
        return _leaf(intervals[0][1])
    middle = len(intervals) // 2
    below, above = _tree(intervals[:middle]), _tree(intervals[middle:])
    first = intervals[middle][0]
    if len(below) < 256:
        return [(_JUMP_AT_LEAST, len(below), 0, first), *below, *above]
    return [(_JUMP_AT_LEAST, 0, 1, first), (_JUMP, 0, 0, len(below)), *below, *above]


def _leaf(verdict: Verdict) -> list[Instruction]:
    allow, refuse = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _EPERM)
    argument = (_LOAD, 0, 0, _FIRST_ARGUMENT)
    match verdict:
        case "allow":
            return [allow]
        case "deny":
            return [refuse]
        case "clone":
            return [argument, (_JUMP_ANY_BIT, 1, 0, _NAMESPACE_FLAGS), allow, refuse]
        case "unknown" | "clone3":
            return [(_RETURN, 0, 0, _ENOSYS)]
        case "personality":
            tests = [(_JUMP_EQUAL, len(_PERSONALITIES) - i, 0, value) for i, value in enumerate(_PERSONALITIES)]
            return [argument, *tests, refuse, allow]
        case "socket":
            tests = [(_JUMP_EQUAL, len(_FAMILIES) - i, 0, value) for i, value in enumerate(_FAMILIES)]
            return [argument, *tests, allow, refuse]
