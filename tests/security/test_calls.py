"""seccomp in every mode: what reaches into other processes or the kernel is refused."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path

from tests.integration.sandbox.bench import Bench

KERNEL = {"keyctl", "bpf", "userfaultfd", "io_uring_setup", "mount", "umount2", "open_tree", "unshare", "kcmp", "pidfd_getfd"}
PROCESSES = {"ptrace", "process_vm_readv", "process_vm_writev"}


def answers(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in (line.split() for line in text.splitlines())}


def test_control_without_a_filter_they_are_answered(programs: Path) -> None:
    done = subprocess.run([str(programs / "calls")], capture_output=True, text=True, check=True)
    found = answers(done.stdout)
    assert {name for name in KERNEL | PROCESSES if found[name] == errno.EPERM} <= {"unshare", "userfaultfd"}, found


def test_calls_into_the_kernel_are_refused(mode: Bench) -> None:
    found = answers(mode.run("calls").out)
    assert {name: found[name] for name in KERNEL} == dict.fromkeys(KERNEL, errno.EPERM)


def test_calls_into_other_processes_are_refused_where_others_can_be_seen(mode: Bench) -> None:
    """Docker allows them among the processes of a container."""
    choice = mode.sandbox.choice
    shared = not (choice.mode.mounts or choice.pid_namespace)
    found = answers(mode.run("calls").out)
    assert {name: found[name] == errno.EPERM for name in PROCESSES} == dict.fromkeys(PROCESSES, shared)


def test_a_call_that_is_newer_than_the_table_is_not_there(mode: Bench) -> None:
    assert answers(mode.run("calls").out)["newer"] == errno.ENOSYS
