"""The terminal that gazami was started at, lent to a shell in a step's root (``--on-failure=shell``).

The display is silent meanwhile, and what other steps say waits. Keys go to the shell's own pseudo terminal as they are, so Ctrl-C
is its interrupt and Ctrl-D its end of input; what it prints comes back. Its window follows the terminal's.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import termios
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from gazami.values import fast_dataclass
from gazami.worker import Worker

_CHUNK = 65536
_PACE = 0.2
"""Seconds between two looks at the size of the window."""
_END_OF_INPUT = b"\x04"


def console(pause: Callable[[], AbstractContextManager[None]], kind: str) -> Terminal | None:
    """The terminal of standard input and standard error; None where one of them is something else. ``pause`` silences the display,
    ``kind`` is TERM."""
    return Terminal(pause, kind or "dumb") if os.isatty(0) and os.isatty(2) else None


@fast_dataclass(frozen=True, slots=True)
class Terminal:
    """Reads descriptor 0 and writes descriptor 2."""

    pause: Callable[[], AbstractContextManager[None]]
    kind: str

    @contextlib.contextmanager
    def attach(self, master: int, text: str) -> Iterator[None]:
        with self.pause(), contextlib.ExitStack() as held:
            held.callback(os.close, master)
            os.write(2, text.encode())
            with _raw():
                relay = Worker("console", lambda: _relay(master))
                held.pop_all()  # the relay closes it
                try:
                    yield
                finally:
                    relay.join()
        relay.result()


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Keys come as they are typed. Raises :class:`OSError` for a terminal that is gone; one that goes meanwhile needs no settings
    any more."""
    try:
        saved = termios.tcgetattr(0)
        _make_raw(saved)
    except termios.error as error:
        raise OSError(*error.args) from None
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(0, termios.TCSADRAIN, saved)


def _make_raw(saved: list[Any]) -> None:
    """Keys arrive at once and as they are, and what is written stays as it is (cfmakeraw(3)). The images lack ``tty``."""
    received, written, control, local, *speeds, keys = saved
    received &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON)
    control = control & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    local &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    keys = [*keys]
    keys[termios.VMIN], keys[termios.VTIME] = 1, 0
    termios.tcsetattr(0, termios.TCSADRAIN, [received, written & ~termios.OPOST, control, local, *speeds, keys])


def _relay(master: int) -> None:
    """Pass on what is typed and printed until the other end is closed. Closing ``master`` hangs up, which ends the shell whatever
    was the reason for leaving this function."""
    try:
        os.set_blocking(master, False)
        size, pending, typed = b"", b"", True
        while True:
            size = _resize(master, size)
            poller = select.poll()
            poller.register(master, select.POLLIN | (select.POLLOUT if pending else 0))
            if typed and not pending:
                poller.register(0, select.POLLIN)
            events = dict(poller.poll(_PACE * 1000))
            if 0 in events:
                pending = os.read(0, _CHUNK)
                typed = bool(pending)
                pending = pending or _END_OF_INPUT
            found = events.get(master, 0)
            if pending and found & select.POLLOUT:
                pending = pending[os.write(master, pending) :]
            if found & (select.POLLIN | select.POLLHUP | select.POLLERR) and not _show(master):
                return
    finally:
        os.close(master)


def _show(master: int) -> bool:
    """Write what the shell has printed to the terminal; False at its end."""
    try:
        data = os.read(master, _CHUNK)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno == errno.EIO:  # nobody has the other end open any more (pty(7))
            return False
        raise
    shown = 0
    while shown < len(data):
        shown += os.write(2, data[shown:])
    return bool(data)


def _resize(master: int, before: bytes) -> bytes:
    """Give the window of the shell the size of the terminal, if that has changed; what it is now."""
    with contextlib.suppress(OSError):
        now = fcntl.ioctl(2, termios.TIOCGWINSZ, bytes(8))
        if now != before:
            fcntl.ioctl(master, termios.TIOCSWINSZ, now)
        return now
    return before
