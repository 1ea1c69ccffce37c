"""``--on-failure=shell``: a shell where a RUN has failed, for the person at the terminal.

It is one more command in the same root, with the step's own environment, user, directory, mounts and limits, but its time. It has a
pseudo terminal of its own and never the person's: whatever runs in the root could type into that one (ioctl TIOCSTI).
"""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from gazami.errors import HostError
from gazami.events import Emit, Message
from gazami.foreign import printable
from gazami.sandbox.client import Sandbox
from gazami.sandbox.spec import RunSpec
from gazami.values import fast_dataclass, field, replace

SHELL = ("/bin/sh", "-i")


class Console(Protocol):
    """A terminal with a person at it."""

    @property
    def kind(self) -> str:
        """What TERM is."""
        ...

    def attach(self, master: int, text: str) -> AbstractContextManager[None]:
        """Show ``text``, then what comes from a pseudo terminal, and send what is typed there, until nobody has its other end open
        any more; nothing else is shown meanwhile. ``master`` is the console's from now on. Leaving the context gives the terminal
        back."""
        ...


@fast_dataclass(frozen=True, slots=True)
class FailedShell:
    """Of several steps that fail at once, the first one has a shell. ``before`` is called before it opens."""

    console: Console
    emit: Emit
    before: Callable[[], None] | None = None
    _first: threading.Lock = field(default_factory=threading.Lock)

    def open(self, sandbox: Sandbox, spec: RunSpec, exit_code: int) -> None:
        """Returns when the shell has ended. Raises only :class:`Cancelled`: the step's failure is what matters."""
        if not self._first.acquire(blocking=False):
            return
        if self.before is not None:
            self.before()
        repeat = printable(shlex.join(spec.argv))
        text = (
            f"The step failed with exit code {exit_code}. This is a shell in its files, as its user.\n"
            f"To repeat the step: {repeat}\nexit or Ctrl-D ends the shell, and the build.\n"
        )
        try:
            self._open(sandbox, spec, text)
        except OSError as error:
            self.emit(Message("warning", f"--on-failure=shell: no pseudo terminal: {error.strerror}"))
        except HostError as error:
            self.emit(Message("warning", f"--on-failure=shell: {error.message}"))

    def _open(self, sandbox: Sandbox, spec: RunSpec, text: str) -> None:
        master, slave = os.openpty()
        kind = () if any(name == "TERM" for name, _ in spec.env) else (("TERM", self.console.kind),)
        shell = replace(spec, argv=SHELL, env=(*spec.env, *kind), timeout=None)
        with self.console.attach(master, text):
            try:
                sandbox.run_on_terminal(shell, slave)
            finally:
                os.close(slave)
