"""What the first bytes of a file say about why it does not run."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest

from gazami.sandbox.inside.unrunnable import look, suspects
from gazami.sandbox.spec import Unrunnable


def program(path: Path, data: bytes, mode: int = 0o755) -> str:
    path.write_bytes(data)
    path.chmod(mode)
    return str(path)


def elf(machine: int, loader: bytes = b"", *, order: str = "<", wide: bool = True) -> bytes:
    """A file with the headers of elf(5) alone."""
    start = 64 if wide else 52
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1 if order == "<" else 2, 1)) + bytes(9)
    size = 56 if wide else 32
    if wide:
        head = struct.pack(f"{order}HHIQQQIHHHHHH", 2, machine, 1, 0, start, 0, 0, 64, size, 1, 0, 0, 0)
        table = struct.pack(f"{order}IIQQQQQQ", 3, 4, start + size, 0, 0, len(loader), len(loader), 1)
    else:
        head = struct.pack(f"{order}HHIIIIIHHHHHH", 2, machine, 1, 0, start, 0, 0, 52, size, 1, 0, 0, 0)
        table = struct.pack(f"{order}IIIIIIII", 3, start + size, 0, 0, len(loader), len(loader), 4, 1)
    return ident + head + table + loader


@pytest.mark.parametrize(
    "data, kind, what",
    [
        (b"#!/bin/sh\r\necho\r\n", "crlf", "/bin/sh"),
        (b"#! /bin/sh -e\r\n", "crlf", "/bin/sh"),
        (b"#!/usr/bin/no-such-interpreter -x\n", "interpreter", "/usr/bin/no-such-interpreter"),
        (elf(183), "machine", "arm64"),
        (elf(22, order=">"), "machine", "s390x"),
        (elf(62, b"/lib/no-such-loader.so\0"), "loader", "/lib/no-such-loader.so"),
        (elf(3, b"/lib/no-such-loader.so\0", wide=False), "loader", "/lib/no-such-loader.so"),
    ],
)
def test_what_cannot_run(data: bytes, kind: str, what: str, tmp_path: Path) -> None:
    path = program(tmp_path / "p", data)
    assert look(path, "x86_64") == Unrunnable(path, kind, what)


@pytest.mark.parametrize(
    "data", [b"#!/bin/sh\necho\n", b"echo hi\n", b"", b"#!", elf(62), elf(62, b"/bin/sh\0"), elf(62)[:40] + b"\xff" * 10]
)
def test_what_can(data: bytes, tmp_path: Path) -> None:
    path = program(tmp_path / "p", data)
    assert suspects((path,), {}, "/", "x86_64") == ()


def test_a_file_without_the_mode() -> None:
    assert look(__file__, "x86_64") == Unrunnable(__file__, "mode")


def test_only_regular_files_are_opened_and_never_the_kernels(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o755)
    (tmp_path / "link").symlink_to("/proc/kmsg")
    words = f"{tmp_path}/fifo {tmp_path}/link {tmp_path} {tmp_path}/none"
    assert suspects(("/bin/sh", "-c", words), {}, "/", "x86_64") == ()


def test_programs_of_a_shell_are_found_by_path_in_the_directory_and_in_PATH(tmp_path: Path) -> None:
    here = program(tmp_path / "here.sh", b"#!/bin/sh\r\n")
    script = "true; cd x && ./here.sh | here.sh>/out"
    found = suspects(("/bin/sh", "-c", script), {"PATH": f"/nope:{tmp_path}"}, str(tmp_path), "x86_64")
    assert [each.path for each in found] == [here]


def test_what_a_script_calls_is_looked_at_too(tmp_path: Path) -> None:
    inner = program(tmp_path / "inner.sh", b"#!/bin/sh\r\n")
    outer = program(tmp_path / "outer.sh", f"#!/bin/sh\nset -e\nexec {inner} --x\n".encode())
    assert [each.path for each in suspects((outer,), {}, "/", "x86_64")] == [inner]
    os.mkfifo(tmp_path / "fifo", 0o755)
    assert suspects((str(tmp_path / "fifo"),), {}, "/", "x86_64") == ()


def test_this_machine_runs_its_own_programs() -> None:
    assert look(os.path.realpath(sys.executable), os.uname().machine) is None
