"""Why a RUN failed, by what the machine, the output and the root's files say."""

from __future__ import annotations

import pytest
from tests.unit.builder.plans import plan_of

from gazami.builder.stages.failed_command import Surroundings, failed_command
from gazami.plan.steps import RunStep
from gazami.sandbox.spec import RunResult, Unrunnable

NOTHING = Surroundings()
CRLF = Unrunnable("/app/run.sh", "crlf", "/bin/sh")


def step(text: str) -> RunStep:
    (found,) = (each for each in plan_of(f"FROM scratch\n{text}\n").stages[0].steps if isinstance(each, RunStep))
    return found


def told(
    text: str, status: int, printed: str = "", *found: Unrunnable, around: Surroundings = NOTHING, **ended: bool
) -> tuple[str, str]:
    error = failed_command(step(text), RunResult(status, unrunnable=found, **ended), printed.encode(), around)
    assert error.exit_code == status and f"did not complete successfully: exit code: {status}" in error.message
    return str(error.__cause__ or ""), error.hint or ""


@pytest.mark.parametrize(
    "text, status, printed, found, cause, hint",
    [
        ("RUN x", 3, "a\n", (), "", ""),
        ("RUN x", 139, "", (), "SIGSEGV ended the process (segmentation fault)", ""),
        ("RUN x", 137, "", (), "SIGKILL ended the process (killed)", "lack of memory"),
        ("RUN x", 143, "", (), "SIGTERM ended the process (terminated)", ""),
        ("RUN x", 127, "", (), "", "127 usually means that it was not found"),
        ("RUN x", 126, "", (), "", "chmod +x"),
        ("RUN x", 200, "", (), "", ""),
        ("RUN gcc x", 127, "/bin/sh: gcc: not found\n", (), "", "the image has no gcc in its PATH"),
        ("RUN gcc x", 127, "/bin/sh: 1: gcc: not found\n", (), "", "the image has no gcc in its PATH"),
        ("RUN gcc x", 127, "bash: line 1: gcc: command not found\n", (), "", "the image has no gcc in its PATH"),
        (
            "RUN /app/run.sh",
            127,
            "/bin/sh: /app/run.sh: not found\n",
            (CRLF,),
            "ends in CR LF, so the system looks for /bin/sh\\r",
            "dos2unix",
        ),
        ("RUN run.sh", 127, "/bin/sh: run.sh: not found\n", (CRLF,), "the first line of /app/run.sh ends in CR LF", "dos2unix"),
        ("RUN /app/run.sh", 1, "tests failed\n", (CRLF,), "", ""),
        ("RUN ./run.sh", 127, "/bin/sh: ./run.sh: not found\n", (CRLF,), "the first line of /app/run.sh ends in CR LF", "dos2unix"),
        ("RUN rerun.sh", 127, "/bin/sh: rerun.sh: not found\n", (CRLF,), "", "the image has no rerun.sh"),
        (
            "RUN <<EOF\n#!/usr/bin/python3 -u\nprint()\nEOF",
            127,
            "/bin/sh: /dev/pipes/EOF: not found\n",
            (),
            "the here-document asks for the interpreter /usr/bin/python3, which the image lacks",
            "install it",
        ),
        ("RUN ['echo', 'x']", 127, "/bin/sh: [echo,: not found\n", (), "", "single quotes are not JSON"),
        ("USER 1000\nRUN touch /etc/x", 1, "touch: /etc/x: Permission denied\n", (), "", "the step runs as user 1000"),
        ("RUN touch /etc/x", 1, "touch: /etc/x: Permission denied\n", (), "", ""),
        ("RUN make", 2, "g++: fatal error: Killed signal terminated program cc1plus\n", (), "", "lack of memory"),
        ("RUN sh x", 3, "Killed\n", (), "", "lack of memory"),
        (
            "RUN --mount=type=cache,target=/c,ro touch /c/x",
            1,
            "touch: /c/x: Read-only file system\n",
            (),
            "/c/x lies in a read-only mount (type=cache, target=/c)",
            "leave ro out",
        ),
        ("RUN other-run.sh", 127, "/bin/sh: other-run.sh: not found\n", (CRLF,), "", "the image has no other-run.sh"),
        (
            "RUN /t",
            2,
            '/t: line 1: syntax error: unexpected "("\n',
            (Unrunnable("/t", "machine", "arm64"),),
            "/t is a program for arm64, which this machine does not run",
            "--platform",
        ),
        (
            'RUN ["/t"]',
            127,
            'exec: "/t": no such file or directory (its interpreter or loader is missing)\n',
            (Unrunnable("/t", "loader", "/lib64/ld-linux-x86-64.so.2"),),
            "/t needs the loader /lib64/ld-linux-x86-64.so.2",
            "glibc or musl",
        ),
        (
            "RUN /p",
            127,
            "/bin/sh: /p: not found\n",
            (Unrunnable("/p", "interpreter", "/usr/bin/python3"),),
            "/usr/bin/python3, which the image lacks",
            "install it",
        ),
        ("RUN /p", 126, "/bin/sh: /p: Permission denied\n", (Unrunnable("/p", "mode"),), "/p is not executable", "--chmod=755"),
        (
            "RUN x",
            127,
            'exec: "/bin/sh": stat /bin/sh: no such file or directory\n',
            (),
            "the image has no shell /bin/sh",
            'RUN ["program"',
        ),
        (
            'SHELL ["/bin/bash", "-c"]\nRUN x',
            127,
            'exec: "/bin/bash": stat /bin/bash: no such file or directory\n',
            (),
            "the image has no shell /bin/bash",
            "before SHELL",
        ),
        (
            'RUN ["/no/such"]',
            127,
            'exec: "/no/such": stat /no/such: no such file or directory\n',
            (),
            "",
            "the image has no /no/such",
        ),
        ('RUN ["gcc"]', 127, 'exec: "gcc": executable file not found in $PATH\n', (), "", "the image has no gcc"),
        (
            "RUN --mount=type=bind,target=/ctx touch /ctx/x",
            1,
            "touch: /ctx/x: Read-only file system\n",
            (),
            "/ctx/x lies in a read-only mount (type=bind, target=/ctx)",
            "rw",
        ),
        ("RUN x", 1, "touch: cannot touch '/etc/x': Read-only file system\n", (), "/etc/x is read-only in this step", ""),
        (
            "RUN x",
            1,
            "/bin/sh: can't create /proc/sys/vm/swappiness: Read-only file system\n",
            (),
            "a setting of the kernel",
            "where the image runs",
        ),
        ("RUN x", 1, "dd: error writing '/dev/shm/x': No space left on device\n", (), "no space left in /dev/shm", "--shm-size"),
        ("RUN apt-get install -y x", 100, "E: Unable to locate package x\n", (), "", "apt-get update && apt-get install"),
        ("RUN curl x", 6, "curl: (6) Could not resolve host: x\n", (), "", "cannot resolve names"),
        ("RUN apk add x", 1, "SSL: certificate verify failed\n", (), "", "ca-certificates"),
    ],
)
def test_by_output_and_status(text: str, status: int, printed: str, found: tuple[Unrunnable, ...], cause: str, hint: str) -> None:
    said = told(text, status, printed, *found)
    assert cause in said[0] and hint in said[1], said
    assert bool(cause) == bool(said[0]) and bool(hint) == bool(said[1]), said


def test_what_the_machine_knows_comes_first() -> None:
    printed = "/bin/sh: /app/run.sh: not found\n"
    around = Surroundings(2.5, "limit of the control group: 512.0 MB", "/s has 0.0 MB of 40.0 MB free")
    assert told("RUN x", 137, printed, CRLF, around=around, timed_out=True)[0] == "timed out after 2.5 s"
    killed = told("RUN x", 137, printed, CRLF, around=around, oom_killed=True)
    assert killed[0] == "a process was killed: out of memory (limit of the control group: 512.0 MB)" and "memory limit" in killed[1]
    full = told("RUN x", 1, printed, CRLF, around=around)
    assert full[0] == "no space left: /s has 0.0 MB of 40.0 MB free" and "--state-dir" in full[1]


def test_a_long_command_is_one_short_line() -> None:
    error = failed_command(step("RUN <<EOF\necho " + "x" * 900 + "\nfalse\nEOF"), RunResult(1), b"", Surroundings())
    assert "\n" not in error.message and len(error.message) < 400
