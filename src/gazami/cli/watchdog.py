"""A build ends within seconds of being told to, whatever its threads do.

Theory of operation. Python runs a signal's handler in the main thread, between two instructions of it. Where no thread looks at
the build's switch, the handler cannot make it; where one is inside a long call that keeps the interpreter's lock, the handler
does not even run. So there are two ends beside the orderly one. A thread that the handler starts leaves the process when the
build has not begun to clean up after :data:`PATIENCE`. A process apart, which the kernel's part of signal handling wakes
through a pipe (``signal.set_wakeup_fd``), kills this one when even that did not happen. What such a build leaves behind is
removed by the next one.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import threading
import time
from collections.abc import Iterator

PATIENCE = 4.0
"""Seconds between a signal and the end of a build that does not begin to clean up."""

CLEANING = 20.0
"""Seconds that cleaning up may take from there."""

_GRACE = 0.5
_STOPS = (signal.SIGINT, signal.SIGTERM)
_CLEANING = b"\0"


class Watchdog:
    """``stop`` and ``cleaning`` are called by whoever hears of a signal, and by the build when its orderly end begins."""

    def __init__(self, pipe: int | None = None) -> None:
        self._pipe = pipe
        self._cleaning = threading.Event()
        self._over = threading.Event()

    def stop(self, number: int) -> None:
        """Leave the process with the signal's status unless the build ends in time. To be run in a thread of its own."""
        if self._over.wait(PATIENCE) or (self._cleaning.is_set() and self._over.wait(CLEANING)):
            return
        name = signal.Signals(number).name
        os.write(2, f"gazami did not stop within {PATIENCE:.0f} s of {name}; the next build removes its files\n".encode())
        os._exit(128 + number)

    def cleaning(self) -> None:
        """The build has begun to clean up."""
        self._cleaning.set()
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.write(self._pipe, _CLEANING)

    def over(self) -> None:
        self._over.set()


@contextlib.contextmanager
def watched() -> Iterator[Watchdog]:
    """A watchdog for as long as the context lasts; without a process apart where this is not the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield Watchdog()
        return
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.close(writer)
            _watch(reader, parent)
        finally:
            os._exit(0)
    os.close(reader)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    dog = Watchdog(writer)
    try:
        yield dog
    finally:
        dog.over()
        signal.set_wakeup_fd(before)
        os.close(writer)
        os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def _watch(pipe: int, parent: int) -> None:
    """The process apart: wait for the number of a signal, then for the end of ``parent``, then kill it."""
    for number in (*_STOPS, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    _die_with_parent()
    stopped: float | None = None
    cleaning = False
    while os.getppid() == parent:
        deadline = None if stopped is None else stopped + PATIENCE + _GRACE + (CLEANING if cleaning else 0)
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        if select.select([pipe], [], [], timeout)[0]:
            data = os.read(pipe, 64)
            if not data:
                return
            cleaning = cleaning or _CLEANING in data
            if stopped is None and any(number in data for number in _STOPS):
                stopped = time.monotonic()
        elif deadline is not None and time.monotonic() >= deadline:
            _end(parent)
            return


def _die_with_parent() -> None:
    """End with the parent, and let no step read this process, which has the parent's memory and environment."""
    from gazami.sandbox.kernel import linux

    with contextlib.suppress(OSError):
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        linux.prctl(linux.PR_SET_DUMPABLE, 0)


def _end(parent: int) -> None:
    """Kill the process. The first one of a container (PID 1) takes no SIGKILL from inside, but the kernel's own, which it
    sends to what has used more processor time than it may: a process that does not answer is busy."""
    os.write(2, b"gazami does not answer the signal and is killed; the next build removes its files\n")
    os.kill(parent, signal.SIGKILL)
    time.sleep(0.2)
    with contextlib.suppress(OSError, ValueError):
        resource.prlimit(parent, resource.RLIMIT_CPU, (1, 1))
