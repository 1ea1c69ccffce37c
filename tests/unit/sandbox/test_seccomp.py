"""The seccomp program, run by an interpreter of the few BPF operations that it uses."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from gazami.sandbox.kernel import seccomp_table as table
from gazami.sandbox.kernel.seccomp import INTO_OTHERS, docker_filter, verdicts

X86_64, I386, AARCH64, ARM = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028
ALLOW, EPERM, ENOSYS = "allow", errno.EPERM, errno.ENOSYS


def verdict(program: bytes, architecture: int, number: int, argument: int = 0) -> str | int:
    """What the kernel would do with one system call."""
    data = struct.pack("=IIQQ", number, architecture, 0, argument)
    code = list(struct.iter_unpack("=HBBI", program))
    place = accumulator = 0
    while True:
        operation, true, false, operand = code[place]
        place += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, operand)
            case 0x05:
                place += operand
            case 0x15:
                place += true if accumulator == operand else false
            case 0x35:
                place += true if accumulator >= operand else false
            case 0x45:
                place += true if accumulator & operand else false
            case 0x06:
                return ALLOW if operand == 0x7FFF0000 else operand & 0xFFFF
            case _:
                raise AssertionError(f"unknown operation {operation:#x}")


@pytest.mark.parametrize(
    ("machine", "architecture", "text"),
    [("x86_64", X86_64, table.X86_64), ("x86_64", I386, table.I386), ("aarch64", AARCH64, table.AARCH64)],
)
def test_every_number_has_the_table_s_verdict(machine: str, architecture: int, text: str) -> None:
    program = docker_filter(machine)
    assert program is not None
    names = {number: name for name, number in table.numbers(text).items()}
    for number in range(600):
        name = names.get(number)
        refusal = EPERM if number <= table.NEWEST else ENOSYS
        expected: str | int = refusal if name is None else ENOSYS if name == "clone3" else ALLOW
        assert verdict(program, architecture, number) == expected, (number, name)


@pytest.mark.parametrize(
    "name", ["mount", "umount2", "unshare", "setns", "bpf", "keyctl", "init_module", "io_uring_setup", "pivot_root", "open_tree"]
)
def test_what_docker_refuses_is_in_no_table(name: str) -> None:
    assert all(name not in table.numbers(text) for text in (table.X86_64, table.I386, table.AARCH64))


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("clone", 0x00000011, ALLOW),
        ("clone", 0x10000011, EPERM),
        ("clone", 0x00020000, EPERM),
        ("clone", 0x02000000, EPERM),
        ("personality", 0x0008, ALLOW),
        ("personality", 0x20008, ALLOW),
        ("personality", 0xFFFFFFFF, ALLOW),
        ("personality", 0x0040000, EPERM),
        ("socket", 2, ALLOW),
        ("socket", 38, EPERM),
        ("socket", 40, EPERM),
        ("socket", 1 << 32 | 40, EPERM),
    ],
)
@pytest.mark.parametrize(("architecture", "text"), [(X86_64, table.X86_64), (I386, table.I386)])
def test_conditions_on_arguments(name: str, argument: int, expected: str | int, architecture: int, text: str) -> None:
    program = docker_filter("x86_64")
    assert program is not None
    assert verdict(program, architecture, table.numbers(text)[name], argument) == expected


def test_foreign_calls_are_refused() -> None:
    program = docker_filter("x86_64")
    assert program is not None
    assert verdict(program, X86_64, 0x40000000) == ENOSYS  # x32 read
    assert verdict(program, X86_64, 0xFFFFFFFF) == ENOSYS
    assert verdict(program, ARM, 3) == EPERM
    assert verdict(program, AARCH64, 63) == EPERM


def test_the_program_is_within_the_kernel_s_limits() -> None:
    for machine in ("x86_64", "aarch64"):
        program = docker_filter(machine)
        assert program is not None and len(program) % 8 == 0 and len(program) // 8 <= 4096


def test_machines_without_a_table_have_no_filter() -> None:
    assert docker_filter("riscv64") is None


def test_intervals_ascend_and_end_with_what_nobody_knows() -> None:
    found = verdicts(table.X86_64)
    assert [number for number, _ in found] == sorted({number for number, _ in found})
    assert found[0] == (0, "allow") and found[-1] == (table.NEWEST + 1, "unknown")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_calls_into_other_processes_can_be_refused_besides(machine: str) -> None:
    architecture, text = (X86_64, table.X86_64) if machine == "x86_64" else (AARCH64, table.AARCH64)
    docker, strict = docker_filter(machine), docker_filter(machine, without=INTO_OTHERS)
    assert docker is not None and strict is not None
    for name, number in table.numbers(text).items():
        if name in INTO_OTHERS:
            assert (verdict(docker, architecture, number), verdict(strict, architecture, number)) == (ALLOW, EPERM), name
        else:
            assert verdict(docker, architecture, number) == verdict(strict, architecture, number), name


def test_the_table_names_its_source() -> None:
    assert re.search(r"moby's profiles, seccomp/v\d", table.__doc__ or "")


@pytest.mark.parametrize(
    ("header", "pattern", "text"),
    [
        ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"__NR_(\w+) (\d+)", table.X86_64),
        ("/usr/include/x86_64-linux-gnu/asm/unistd_32.h", r"__NR_(\w+) (\d+)", table.I386),
    ],
)
def test_numbers_are_those_of_the_kernel_s_headers(header: str, pattern: str, text: str) -> None:
    if not Path(header).exists():
        pytest.skip(f"{header} is not installed")
    known = {name: int(number) for name, number in re.findall(pattern, Path(header).read_text())}
    ours = table.numbers(text)
    assert {name: number for name, number in ours.items() if name in known} == {n: known[n] for n in ours if n in known}
    assert len(ours.keys() - known.keys()) < 20  # calls younger than the headers
