"""``--on-failure=shell``: what a person at a terminal gets when a RUN fails, types, and leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.person import Person
from tests.programs import gazami

pytestmark = [
    pytest.mark.service,
    pytest.mark.sandbox,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

STEP = (
    "RUN --mount=type=secret,id=s --mount=type=cache,target=/c echo made > made; echo $TOKEN > token; sleep 0.1; exit 7\n"
    "RUN echo never\n"
)
MODES = ["namespaces", "userns", "userns-single", "chroot"]


_IN_FRONT = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # as a shell's foreground job: Ctrl-C of the terminal is for it
from gazami.cli.main import run
sys.exit(run(sys.argv[1:], os.environ))
"""


def at_terminal(*words: str, program: str = _IN_FRONT) -> Person:
    clean = {key: os.environ[key] for key in ("PATH", "HOME", "PYTHONPATH") if key in os.environ}
    return Person([sys.executable, "-c", program, "build", *words], {**clean, "GAZAMI_LOCAL_CACHE": "off"})


def context_of(context: Path, busybox: str, step: str = STEP) -> list[str]:
    (context / "secret").write_text("a secret of this test")
    (context / ".dockerignore").write_text("secret\n")
    (context / "Dockerfile").write_text(
        f"FROM {busybox}\nARG TOKEN=token-of-this-test\nENV A='b c'\nWORKDIR /app\nRUN chmod 777 /app\nUSER nobody\n{step}"
    )
    return [str(context), "--no-push", f"--secret=id=s,src={context / 'secret'}", f"--state-dir={context.parent / 'state'}"]


def at_the_prompt(person: Person) -> None:
    person.until(r"failed with exit code 7")
    person.until(r"[$#] $")


def say(person: Person, words: str, pattern: str) -> re.Match[str]:
    """Type a command and see an answer; what is typed comes back first."""
    person.types(f"{words}; echo D''ONE\n")
    person.until(r"D''ONE\n")
    found = person.until(pattern)
    person.until("DONE\n")
    person.until(r"[$#] $")
    return found


def left_of(person: Person) -> list[str]:
    """Processes of the build's session, and the one that the shell began; zombies do nothing any more."""
    found = subprocess.run(["ps", "-eo", "sid,stat,args"], capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    rows = [line.split(maxsplit=2) for line in found]
    own = str(person.process.pid)
    return [args for session, state, args in rows if "Z" not in state and (session == own or args.startswith("sleep 4321"))]


@pytest.mark.parametrize("mode", MODES)
def test_a_shell_where_the_step_failed(mode: str, context: Path, busybox: str) -> None:
    person = at_terminal(*context_of(context, busybox), f"--isolation={mode}", "--on-failure=shell")
    at_the_prompt(person)
    assert say(person, 'cat made; echo "$A $TOKEN $PWD $TERM"', r"made\n(.*)\n")[1] == "b c token-of-this-test /app xterm"
    say(person, "id -un", r"nobody")
    say(person, "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal", r"terminal\n")
    say(person, "stty size", r"30 100\n")
    person.resize(70, 20)
    time.sleep(0.6)
    say(person, "stty size", r"20 70\n")
    person.types("sleep 100\n")
    person.until(r"sleep 100\n")
    time.sleep(0.3)
    person.types("\x03")  # Ctrl-C is the command's, and neither the shell's nor the build's
    person.until(r"[$#] $")
    say(person, "echo still here", r"still here")
    person.types("sleep 4321 &\n")
    person.until(r"[$#] $")
    assert "sleep 4321" in left_of(person)  # the control
    person.types("\x04")
    status, rest = person.end()
    assert status == 7, rest
    assert "exit code: 7" in rest
    assert "never" not in rest.replace("RUN echo never", "")
    assert left_of(person) == []
    assert not list((context.parent / "state").rglob("made"))


def test_exit_keeps_the_exit_code_of_the_build(context: Path, busybox: str) -> None:
    person = at_terminal(*context_of(context, busybox), "--on-failure=shell")
    at_the_prompt(person)
    person.types("exit 3\n")
    assert person.end()[0] == 7


def test_a_step_can_be_repeated_with_its_secret(context: Path, busybox: str) -> None:
    step = "RUN --mount=type=secret,id=s,mode=0444 cat /run/secrets/s > copy; rm copy; exit 7\n"
    person = at_terminal(*context_of(context, busybox, step), "--on-failure=shell")
    repeat = person.until(r"To repeat the step: (.*)\n")[1]
    person.until(r"[$#] $")
    say(person, "cat /run/secrets/s", "a secret of this test")
    say(person, f"({repeat}); echo status $?", "status 7")
    person.types("\x04")
    assert person.end()[0] == 7


def test_sigterm_ends_the_shell_and_gives_the_terminal_back(context: Path, busybox: str) -> None:
    person = at_terminal(*context_of(context, busybox), "--on-failure=shell")
    at_the_prompt(person)
    person.process.send_signal(signal.SIGTERM)
    status, rest = person.end()
    assert status == 143, rest
    assert left_of(person) == []


def test_an_image_without_a_shell_says_so(context: Path, busybox: str) -> None:
    step = 'RUN ["/bin/busybox", "rm", "/bin/sh"]\nRUN ["/bin/busybox", "false"]\n'
    words = context_of(context, busybox, step.replace("RUN", "USER root\nRUN", 1))
    person = at_terminal(*words, "--on-failure=shell")
    person.until(r'exec: "/bin/sh": stat /bin/sh: no such file or directory')
    assert person.end()[0] == 1


def test_other_steps_are_silent_until_the_shell_has_ended(context: Path, busybox: str) -> None:
    step = f"RUN sleep 1; exit 7\nFROM {busybox} AS other\nRUN for n in 1 2 3 4 5 6 7 8 9; do echo OTHER $n; sleep 0.3; done\n"
    step += "FROM scratch\nCOPY --from=first /app /\nCOPY --from=other /bin /\n"
    words = context_of(context, busybox, step)
    text = (context / "Dockerfile").read_text()
    (context / "Dockerfile").write_text(text.replace(f"FROM {busybox}\n", f"FROM {busybox} AS first\n", 1))
    for progress in ("plain", "tty"):
        person = at_terminal(*words, "--on-failure=shell", f"--progress={progress}")
        at_the_prompt(person)
        person.types("sleep 1.5; echo D''ONE\n")
        quiet = person.until(r"(?s)(.*?)DONE\n")[1]
        assert "OTHER" not in quiet, quiet
        person.until(r"[$#] $")  # a Ctrl-D that comes before the shell reads is lost
        person.types("\x04")
        assert person.end()[0] == 7


def test_without_a_terminal_it_is_a_warning(context: Path, busybox: str) -> None:
    words = ["build", *context_of(context, busybox), "--on-failure=shell"]
    done = gazami(*words)
    assert done.returncode == 7
    assert done.stderr.count("--on-failure=shell: standard input and error are no terminal") == 1


def test_nothing_opens_where_nothing_fails(context: Path, busybox: str) -> None:
    person = at_terminal(*context_of(context, busybox, "RUN true\n"), "--on-failure=shell")
    assert person.end()[0] == 0


def test_a_bug_in_the_thread_that_passes_keys_on_ends_the_shell_and_is_told(context: Path, busybox: str) -> None:
    broken = (
        "import gazami.cli.console as console\ndef _show(master):\n    raise ZeroDivisionError('broken')\nconsole._show = _show\n"
    )
    person = at_terminal(*context_of(context, busybox), "--on-failure=shell", program=broken + _IN_FRONT)
    status, seen = person.end()
    assert status == 1, seen
    assert "bug in gazami" in seen
    assert "ZeroDivisionError: broken" in seen
    assert left_of(person) == []


@pytest.mark.parametrize("when", ["before the shell", "at the prompt"])
def test_a_terminal_that_goes_away_is_no_bug(when: str, context: Path, busybox: str) -> None:
    """Without a SIGHUP: it was never the controlling one."""
    report = context.parent / "report"
    words = [*context_of(context, busybox, "RUN sleep 1; exit 7\n"), "--on-failure=shell", f"--report={report}"]
    person = at_terminal(
        *words, program="import os, sys\nfrom gazami.cli.main import run\nsys.exit(run(sys.argv[1:], os.environ))\n"
    )
    if when == "at the prompt":
        at_the_prompt(person)
    else:
        person.until(r"RUN sleep 1")
    os.close(person.master)
    os.close(person.slave)
    assert person.process.wait(30) != 0
    said = (report / "summary.md").read_text()
    assert "exit code: 7" in said or "exit code 7" in said, said
    assert "bug in gazami" not in said
    assert left_of(person) == []


def test_another_build_does_not_wait_for_the_shell(context: Path, busybox: str) -> None:
    words = context_of(context, busybox, "RUN sleep 2; exit 7\n")
    words += ["--cache", f"--cache-repo=oci:{context.parent / 'cache'}"]
    person = at_terminal(*words, "--on-failure=shell")
    person.until(r"RUN sleep 2")
    done = gazami("build", *words, f"--state-dir={context.parent / 'other'}")
    assert done.returncode == 7
    assert "the other build failed, making it here" in done.stderr
    at_the_prompt(person)  # it is still open
    person.types("\x04")
    assert person.end()[0] == 7
