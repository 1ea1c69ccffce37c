"""The live view of a real build on a pseudo terminal, and what decides about it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from tests.terminal import Terminal

pytestmark = [pytest.mark.service, pytest.mark.sandbox]


class Pty:
    """gazami with a pseudo terminal as its standard error, and the terminal that a person looks at."""

    def __init__(self, width: int, height: int, *words: str, **env: str) -> None:
        self.terminal = Terminal(width, height)
        self.terminal.write(b"$ gazami build\n")
        self._master, slave = pty.openpty()
        self._set_size(width, height)
        clean = {key: os.environ[key] for key in ("PATH", "HOME", "PYTHONPATH") if key in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gazami", "build", *words], stdout=slave, stderr=slave, env={**clean, "TERM": "xterm", **env}
        )
        os.close(slave)

    def _set_size(self, width: int, height: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def resize(self, width: int, height: int) -> None:
        self.read(0.1)
        self._set_size(width, height)
        self.terminal.resize(width, height)

    def read(self, seconds: float, until: str = "") -> list[str]:
        """What is seen after some time, or as soon as a text is."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._master], [], [], left)[0]:
                try:
                    data = os.read(self._master, 65536)
                except OSError:  # the last process with the other end is gone
                    break
                self.terminal.write(data.replace(b"\r\n", b"\n"))
            if until and any(until in line for line in self.terminal.seen):
                break
        return self.terminal.seen

    def end(self) -> list[str]:
        seen = self.read(60)
        os.close(self._master)
        self.process.wait(20)
        return seen


@pytest.fixture
def words(context: Path, busybox: str) -> tuple[str, ...]:
    loop = f"for i in $(seq 1 30); do echo a rather long line with a number {'x' * 60} $i; sleep 0.1; done"
    (context / "Dockerfile").write_text(
        f"FROM {busybox} AS one\nRUN {loop}\nFROM {busybox}\nCOPY --from=one /etc /etc2\nRUN echo done\n"
    )
    return (str(context), "--no-push", "--local-cache=off", f"--state-dir={context.parent / 'state'}")


@pytest.mark.parametrize("width, height", [(80, 24), (40, 14)])
def test_nothing_wraps_and_another_size_leaves_nothing_behind(width: int, height: int, words: tuple[str, ...]) -> None:
    console = Pty(width, height, *words)
    assert any(line.startswith("[one 1/1] RUN for") for line in console.read(30, until="│ a rather"))
    assert any(line.startswith("[+] ") and line.endswith("(0/3)") for line in console.terminal.seen)
    console.resize(width - 15, height)
    seen = console.read(1.0)
    assert sum("[+] " in line for line in seen) == 1 == sum(line.startswith("[one 1/1]") for line in seen), seen
    seen = console.end()
    steps = [line for line in seen if line.startswith("[")]
    assert [step.partition(" ")[0] for step in steps] == ["[one", "[final", "[final"] and console.process.returncode == 0
    assert all(len(line) < width for line in steps) and "sha256:" in "".join(seen) and console.terminal.cursor
    assert {"32", "1"} <= console.terminal.colors


def test_ctrl_c_leaves_a_clean_screen(words: tuple[str, ...]) -> None:
    console = Pty(80, 24, *words, NO_COLOR="1")
    console.read(30, until="│ a rather")
    console.process.send_signal(signal.SIGINT)
    seen = console.end()
    assert console.process.returncode == 130 and console.terminal.cursor and console.terminal.colors == set()
    assert seen[-2:] == ["error building image: interrupted by SIGINT", "nothing was pushed or written"]
    assert seen[-3].endswith("cancelled") and not any("│" in line or "[+]" in line for line in seen)


@pytest.mark.parametrize("env", [{"CI": "true"}, {"TERM": "dumb"}, {"CI": "true", "FORCE_COLOR": "1"}])
def test_no_live_view_where_nobody_looks(env: dict[str, str], words: tuple[str, ...]) -> None:
    console = Pty(80, 24, "--dryrun", *words, "-v=debug", **env)
    seen = console.end()
    assert any("Retrieving image manifest" in line for line in seen)
    assert console.terminal.colors == (set() if env.get("TERM") == "dumb" else {"36", "0", "37"})
