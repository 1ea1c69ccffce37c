"""Somebody at a pseudo terminal: reads what a program shows, and types."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Person:
    """``words`` run at a terminal of 100 columns and 30 rows."""

    def __init__(self, words: Sequence[str], env: Mapping[str, str]) -> None:
        self.master, slave = pty.openpty()
        self.resize(100, 30)
        self.seen = b""
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env={**env, "TERM": "xterm"}
        )

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, pattern: str, seconds: float = 60.0) -> re.Match[str]:
        """Read until something is seen that was not there before; it is taken."""
        deadline = time.monotonic() + seconds
        while True:
            text = _CONTROL.sub("", self.seen.decode(errors="replace").replace("\r\n", "\n"))
            if found := re.search(pattern, text):
                self.seen = text[found.end() :].encode()
                return found
            assert time.monotonic() < deadline, text
            if select.select([self.master], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self.master, 65536)

    def types(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self, seconds: float = 60.0) -> tuple[int, str]:
        """The exit status and the rest of what was to be seen. The terminal is as it was."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None or select.select([self.master], [], [], 0.2)[0]:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536)
        assert termios.tcgetattr(self.slave) == self.before
        os.close(self.slave)
        os.close(self.master)
        return self.process.returncode, self.seen.decode(errors="replace").replace("\r\n", "\n")
