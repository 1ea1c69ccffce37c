"""What a failed build says: the cause by name, at the right lines, last in the log; and no traceback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs import gazami

pytestmark = [pytest.mark.service, pytest.mark.sandbox]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def programs(context: Path) -> Path:
    """A context with files that do not run."""
    (context / "crlf.sh").write_bytes(b"#!/bin/sh\r\necho hi\r\n")
    (context / "py.sh").write_text("#!/usr/bin/python3\n")
    (context / "ok.sh").write_text("#!/bin/sh\n")
    program = bytearray(Path("/bin/true").read_bytes())
    (context / "dynamic").write_bytes(program)
    program[18:20] = (183 if os.uname().machine == "x86_64" else 62).to_bytes(2, "little")
    (context / "other").write_bytes(program)
    return context


def failed(context: Path, dockerfile: str, *arguments: str) -> tuple[int, list[str]]:
    (context / "Dockerfile").write_text(dockerfile)
    done = gazami("build", str(context), "--no-push", f"--state-dir={context.parent / 'state'}", *arguments)
    assert "Traceback" not in done.stderr and "bug in gazami" not in done.stderr and done.stdout == ""
    return done.returncode, done.stderr.splitlines()


@as_root
@pytest.mark.parametrize(
    "command, statuses, cause, mode",
    [
        ("/crlf.sh", (127,), "the first line of /crlf.sh ends in CR LF", "namespaces"),
        ("/crlf.sh", (127,), "the first line of /crlf.sh ends in CR LF", "chroot"),
        ('["/crlf.sh"]', (127,), "the first line of /crlf.sh ends in CR LF", "namespaces"),
        ("/py.sh", (127,), "/py.sh asks for the interpreter /usr/bin/python3, which the image lacks", "namespaces"),
        ("/other", (2, 127), "/other is a program for ", "namespaces"),
        ('["/other"]', (126,), "/other is a program for ", "chroot"),
        ("/dynamic", (127,), "/dynamic needs the loader /lib", "namespaces"),
        ("chmod 644 /ok.sh; /ok.sh", (126,), "/ok.sh is not executable", "namespaces"),
        ("kill -SEGV $$", (139,), "SIGSEGV ended the process (segmentation fault)", "namespaces"),
        ("echo begun; sleep 60", (137,), "timed out after 1 s", "namespaces"),
    ],
)
def test_why_a_command_failed(programs: Path, busybox: str, command: str, statuses: tuple[int, ...], cause: str, mode: str) -> None:
    dockerfile = f"FROM {busybox}\nCOPY --chmod=755 . /\nRUN {command}\n"
    status, lines = failed(programs, dockerfile, f"--isolation={mode}", "--timeout=1")
    assert status in statuses and "Dockerfile:3" in lines
    assert any(line.startswith(f"caused by: {cause}") for line in lines[-2:])


@as_root
def test_an_image_without_a_shell(context: Path) -> None:
    (context / "f").write_text("x")
    status, lines = failed(context, "FROM scratch\nCOPY f /\nRUN echo\n")
    assert status == 127 and lines[-2] == "caused by: the image has no shell /bin/sh"


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A memory control group with a limit."""
    for folder, limit in ((Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"), (Path("/sys/fs/cgroup"), "memory.max")):
        group = folder / f"gazami-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text("300000000")
            yield group
            return
        except OSError:
            continue
        finally:
            time.sleep(0.2)
            group.rmdir()
    pytest.skip("no control group can be made here")


@as_root
@pytest.mark.parametrize(
    "command, status", [("tail -c 2000000000 /dev/zero", 137), ("sh -c 'tail -c 2000000000 /dev/zero'; exit 3", 3)]
)
def test_what_was_killed_for_memory_is_told_with_the_limit(
    context: Path, busybox: str, small_group: Path, command: str, status: int
) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN {command}\n")
    words = [sys.executable, "-m", "gazami", "build", str(context), "--no-push", f"--state-dir={context.parent / 'state'}"]
    inside = f'echo $$ > {small_group}/cgroup.procs; exec "$@"'
    done = subprocess.run(["sh", "-c", inside, "sh", *words], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert "caused by: a process was killed: out of memory (limit of the control group: 300.0 MB)\n" in done.stderr


def test_of_stages_at_the_same_time_the_one_that_failed_is_last(context: Path, busybox: str) -> None:
    many = "".join(f"FROM {busybox} AS s{number}\nRUN while true; do echo other; sleep 0.1; done\n" for number in range(2))
    dockerfile = (
        f"{many}FROM {busybox} AS bad\nRUN for i in $(seq 30); do echo line $i; done; sleep 0.5; echo boom; exit 5\n"
        f"FROM {busybox}\nCOPY --from=s0 /etc /a\nCOPY --from=s1 /etc /b\nCOPY --from=bad /etc /c\n"
    )
    status, lines = failed(context, dockerfile)
    assert status == 5
    ends = sorted(found[1] for line in lines if (found := re.search(r"(\[\S+ 1/1\] \w+) after", line)))
    assert ends == ["[bad 1/1] failed", "[s0 1/1] cancelled", "[s1 1/1] cancelled"]
    end = lines[next(at for at, line in enumerate(lines) if "printed at last, after 11 lines" in line) :]
    assert [line.partition("│ ")[2] for line in end[1:21]] == [*(f"line {number}" for number in range(12, 31)), "boom"]
    assert "Dockerfile:6" in end and end[-1].endswith("exit code: 5") and not any("other" in line for line in end[:21])
    prefixed = [line for line in lines if "│" in line and line[0] == "["]
    assert all(re.fullmatch(r"\[\w+ 1/1\] [\d.]+s │ (other|line \d+|boom)", line) for line in prefixed)


def test_an_interrupt_says_what_was_kept(context: Path, busybox: str, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo stored\nRUN echo begun; sleep 98.1\n")
    cache = f"oci:{tmp_path / 'cache'}"
    words = ["build", str(context), "--no-push", "--cache", f"--cache-repo={cache}", f"--state-dir={tmp_path / 'state'}"]
    process = subprocess.Popen([sys.executable, "-m", "gazami", *words], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith("│ begun\n"):
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    said = process.stderr.read().splitlines()
    assert process.wait(20) == 130
    assert "failed" not in "".join(said) and re.search(r"\[2/2\] cancelled after", said[0])
    assert said[-2:] == [
        "error building image: interrupted by SIGINT",
        f"nothing was pushed or written; layers that were stored by then stay in the cache {cache}",
    ]
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo stored\nRUN echo begun\n")
    assert "1 of 2 cached, first miss Dockerfile:3" in gazami(*words).stderr
