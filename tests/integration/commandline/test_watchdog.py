"""A build ends within five seconds of a signal wherever it is; what it leaves behind the next one removes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_PROGRAM = """
import re, sys, time
from gazami.builder.files.workspace import Workspace
from gazami.cli.commands.build import build_with
from gazami.cli.supervise import supervise

def build(request, emit, cancel):
    with Workspace(request.sandbox.state_dir):
        print("begun", flush=True)
        {work}

{before}
sys.exit(supervise(build_with(build), [".", "--no-push", "--state-dir", sys.argv[1]], dict(HOME="/")))
"""

WORK = {
    "a loop in Python": "while True: pass",
    "a regular expression": "re.match('(a*)*b', 'a' * 40)",
    "a wait": "time.sleep(60)",
    "a wait for a thread": "import threading; threading.Event().wait()",
    "cleaning up that takes longer": "cancel.wait(60); cancel.cleaning(); time.sleep(6)",
}
ENDS = {"a regular expression": -signal.SIGKILL, "cleaning up that takes longer": 0}


def started(work: str, state: Path, before: str = "") -> subprocess.Popen[bytes]:
    program = _PROGRAM.format(work=work, before=before)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(state)], cwd=state.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    return process


def children(pid: int) -> set[int]:
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def gone(pids: set[int]) -> bool:
    """Whether processes end within seconds; nobody may have asked for the status of one yet."""

    def lives(pid: int) -> bool:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        return False

    deadline = time.monotonic() + 5
    while any(map(lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(lives, pids))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", WORK)
def test_it_ends(name: str, number: signal.Signals, tmp_path: Path) -> None:
    state = tmp_path / "state"
    process = started(WORK[name], state)
    dogs = children(process.pid)
    assert len(dogs) == 1
    time.sleep(0.3)
    begun = time.monotonic()
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    took = time.monotonic() - begun
    if name == "cleaning up that takes longer":
        assert took > 6
        assert os.listdir(state) == []
    else:
        assert took < 5.5
        assert b"the next build removes its files" in error
        assert len(os.listdir(state)) == 1
        assert process.returncode == ENDS.get(name, 128 + number)
    assert gone(dogs)
    subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(work="pass", before=""), str(state)], cwd=tmp_path, check=False, capture_output=True
    )
    assert os.listdir(state) == []


@pytest.mark.parametrize("name", ["a loop in Python", "a regular expression"])
def test_without_a_watchdog_it_does_not_end(name: str, tmp_path: Path) -> None:
    """The control."""
    dog = "type('Dog', (), dict(stop=lambda *_: 0, cleaning=0))"
    before = f"import contextlib, gazami.cli.watchdog as r; r.watched = lambda: contextlib.nullcontext({dog})"
    process = started(WORK[name], tmp_path / "state", before)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=7)
    process.kill()
    process.communicate()


def test_the_watchdog_ends_with_the_build(tmp_path: Path) -> None:
    process = started("time.sleep(60)", tmp_path / "state")
    dogs = children(process.pid)
    process.kill()
    process.communicate()
    assert gone(dogs)


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a PID namespace")
def test_the_first_process_of_a_container_ends_too(tmp_path: Path) -> None:
    """PID 1 takes no SIGKILL from inside its namespace."""
    program = _PROGRAM.format(work=WORK["a regular expression"], before="")
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "-c", program, str(tmp_path / "state")],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    (first,) = children(process.pid)
    begun = time.monotonic()
    os.kill(first, signal.SIGTERM)
    process.communicate(timeout=30)
    assert time.monotonic() - begun < 8
