"""The fork server's process before it is a sandbox: begun early, it imports what it needs while the builder asks registries for
images, says what works here, and waits to be told its mode."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import gazami
from gazami.errors import SandboxError
from gazami.sandbox.protocol import Failure, rebuild_error, receive_message, send_message
from gazami.values import fast_dataclass

_ANSWER_SECONDS = 60.0
_GRACE_SECONDS = 10.0
_MOST_OF_LOG = 65536
HELPER_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def helper_command(module: str, *arguments: str) -> list[str]:
    """The command line of one of the package's own programs: isolated, without site-packages, standard library only."""
    package = str(Path(gazami.__file__).resolve().parent.parent)
    code = f"import sys; sys.path.append({package!r}); from {module} import main; main()"
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", code, *arguments]


@fast_dataclass(slots=True)
class ServerProcess:
    """``control`` is the socket on which it is asked, and later gets the sockets of requests. It ends when that does."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    log: int

    @classmethod
    def begin(cls, preload: Sequence[str] = ()) -> ServerProcess:
        """Start the program. ``preload`` names modules of the standard library or that need nothing else, imported at once. Raises
        :class:`SandboxError` where no process can be had."""
        ours, theirs = socket.socketpair()
        log = os.memfd_create("gazami-sandbox-log", os.MFD_CLOEXEC)
        try:
            process = subprocess.Popen(
                helper_command("gazami.sandbox.inside.server", str(theirs.fileno()), *preload),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd="/",
                env=HELPER_ENVIRONMENT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError as cause:
            ours.close()
            os.close(log)
            raise SandboxError(f"cannot start the sandbox server: {cause.strerror}") from cause
        finally:
            theirs.close()
        return cls(process, ours, log)

    def ask(self, message: object) -> object:
        """The answer to a message. Raises what the other side raised, and :class:`SandboxError` when it died or does not answer."""
        self.control.settimeout(_ANSWER_SECONDS)
        try:
            send_message(self.control, message)
            received = receive_message(self.control)
        except TimeoutError:
            raise SandboxError("the sandbox server did not answer in time") from None
        except OSError:
            raise self.died() from None
        self.control.settimeout(None)
        if received is None:
            raise self.died()
        if isinstance(received[0], Failure):
            raise rebuild_error(received[0])
        return received[0]

    def end(self) -> None:
        """End it and everything that it still runs."""
        self.control.close()
        try:
            self.process.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """End it, and forget what it wrote."""
        self.end()
        if self.log >= 0:
            os.close(self.log)
            self.log = -1

    def died(self) -> SandboxError:
        """What is known about a server that went away."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=1.0)
        status = self.process.poll()
        how = "a process of the sandbox died" if status is None else f"the sandbox server ended with status {status}"
        text = ""
        with suppress(OSError):
            text = os.pread(self.log, _MOST_OF_LOG, 0).decode(errors="replace").strip()
        return SandboxError(f"{how}: {text}" if text else how)


@fast_dataclass(slots=True)
class Standby:
    """A server's process that may have been begun before anybody knows whether it is needed. A context manager: leaving it ends
    one that nobody took."""

    preload: tuple[str, ...] = ()
    _waiting: ServerProcess | None = None

    def begin(self) -> None:
        """Nothing is lost where that does not work: whoever needs the process tries again."""
        with suppress(SandboxError):
            self._waiting = ServerProcess.begin(self.preload)

    def take(self) -> ServerProcess:
        """The process that waits, or a new one where none does any more. The caller's to close."""
        found, self._waiting = self._waiting, None
        if found is not None and found.process.poll() is not None:
            found.close()
            found = None
        return found or ServerProcess.begin(self.preload)

    def __enter__(self) -> Standby:
        return self

    def __exit__(self, *_: object) -> None:
        if self._waiting is not None:
            self._waiting.close()
