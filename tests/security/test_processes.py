"""When a step has ended, nothing of it lives, however it tries."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integration.sandbox.bench import Bench

from gazami.errors import SandboxError
from gazami.sandbox.inside import reap

KINDS = ["leader", "deaf", "session"]
_names = itertools.count()


def name() -> str:
    """A process name that nobody else has (15 bytes)."""
    return f"gz{os.getpid()}x{next(_names)}"


def running(wanted: str) -> list[int]:
    """The processes of a name that run; a zombie with other threads is one."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            head, _, rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
            fields = rest.split()
            if head.partition("(")[2] == wanted and (fields[0] != "Z" or int(fields[17]) > 1):
                found.append(int(pid))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_outlives_its_step(mode: Bench, kind: str) -> None:
    called = name()
    assert mode.run("outlive", kind, called).code == 0
    assert running(called) == []


@pytest.mark.parametrize("kind", KINDS)
def test_control_without_the_sandbox_it_lives_on(programs: Path, kind: str) -> None:
    called = name()
    subprocess.run([programs / "outlive", kind, called], check=True, start_new_session=True)
    found = running(called)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    assert found


def beats(file: Path) -> bool:
    """Whether somebody touches a file."""
    before = file.stat().st_mtime_ns
    time.sleep(0.3)
    return file.stat().st_mtime_ns != before


@pytest.mark.parametrize("lines", [1, 3])
def test_what_forks_without_end_ends_with_its_step(mode: Bench, lines: int) -> None:
    root = mode.root()
    (root[1] / "beat").touch()
    try:
        assert mode.run("outlive", "chain", name(), str(lines), "/beat", root=root).code == 0
    except SandboxError as error:  # outside of a container, where nobody may be stopped for it, it is told
        assert "still running" in error.message and not mode.sandbox.choice.pid_namespace
        wait_for_its_end(root[1] / "beat")
        return
    assert not beats(root[1] / "beat")


def test_control_without_the_sandbox_it_forks_on(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "beat").touch()
    group = ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", '"$0" "$@"; sleep 1; test -e /proc && echo up; sleep 60']
    command = [*group, str(programs / "outlive"), "chain", name(), "1", str(tmp_path / "beat")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        alive = beats(tmp_path / "beat")
        process.kill()
    wait_for_its_end(tmp_path / "beat")  # the kernel takes a moment on a busy machine
    assert alive
    assert not beats(tmp_path / "beat")


def wait_for_its_end(file: Path) -> None:
    deadline = time.monotonic() + 90
    while beats(file) and time.monotonic() < deadline:
        time.sleep(1)


def test_what_cannot_be_ended_fails_the_step_by_its_name() -> None:
    with pytest.raises(SandboxError, match=r"still running.*evil --flag \(process 7\)") as caught:
        reap.Ended(3, ("evil --flag (process 7)",)).check()
    assert caught.value.hint


def test_in_a_container_even_what_forks_faster_than_it_is_listed_ends(programs: Path, tmp_path: Path) -> None:
    """A PID namespace stands for the container; in it everything may be stopped for a moment."""
    (tmp_path / "beat").touch()
    script = f"""
import os, signal, subprocess, sys
sys.path.insert(0, {str(Path(reap.__file__).parents[3])!r})
from gazami.sandbox.kernel import linux
from gazami.sandbox.inside import reap
linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
worker = os.fork()
if worker == 0:
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    subprocess.run([{str(programs / "outlive")!r}, "chain", "x", "20", {str(tmp_path / "beat")!r}])
    ended = reap.end_children(30)
    print(len(ended.left), flush=True)
    os._exit(0)
os.waitpid(worker, 0)
print(open(f"/proc/{{bystander.pid}}/stat").read().rpartition(")")[2].split()[0])
"""
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "python3", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["0", "S"], done
