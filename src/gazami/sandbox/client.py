"""The sandbox as the rest of gazami sees it: start it, run commands and functions in it, close it.

Everything that needs the sandbox's privileges or ids happens in the fork server (:mod:`.inside.server`), a process of its own.
Each request has its own socket; the thread that made the request waits on it. Closing the write side of that socket is
how a request is cancelled, and its end without a reply means that the server or the handler died.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal, TypeAlias, TypeVar, cast

from gazami.cancel import Cancel
from gazami.errors import UsageError
from gazami.sandbox.inside import inplace
from gazami.sandbox.inside.hidden import HiddenFiles
from gazami.sandbox.inside.inplace import ContainerRoot
from gazami.sandbox.protocol import Failure, rebuild_error, receive_message, send_message
from gazami.sandbox.server_process import ServerProcess
from gazami.sandbox.spec import Call, CallResult, Choice, RunResult, RunSpec, SandboxRequest, ServerStart, TerminalRun
from gazami.values import fast_dataclass, field

Stream: TypeAlias = Literal["stdout", "stderr"]
OnOutput: TypeAlias = Callable[[Stream, bytes], None]
T = TypeVar("T")

_GRACE_SECONDS = 10.0
"""How long a cancelled request may take to clean up before it is abandoned."""
_CHUNK = 65536
_NEVER = Cancel()
"""The switch of calls that go on when the build is cancelled; it is never set."""


def _hide_this_process(*, adopt: bool) -> None:
    """Make the builder undumpable: a step with the same uid can read neither its memory, environment, root nor descriptors
    in /proc (ptrace(2), "Ptrace access mode checking"). Programs that it starts are dumpable again. ``adopt``: it becomes the
    parent of processes that a command leaves when it kills the fork server.
    """
    from gazami.sandbox.kernel import linux  # ctypes is only worth its import where there is a RUN

    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    if adopt:
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)


@fast_dataclass(slots=True)
class Sandbox:
    """A running fork server. Threads may use it at the same time; close it when none does any more."""

    choice: Choice
    _cancel: Cancel
    _server: ServerProcess
    _hidden: HiddenFiles
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def start(
        cls,
        choice: Choice,
        cancel: Cancel,
        *,
        preload: Sequence[str] = (),
        hide: Sequence[str] = (),
        server: ServerProcess | None = None,
    ) -> Sandbox:
        """Start the server in the chosen mode. ``preload`` names standard-library-only modules that calls will use. The files
        ``hide`` are away until the sandbox is closed. ``server`` was begun before, and is the sandbox's from now on.

        Raises SandboxError when the server cannot enter its namespaces.
        """
        _hide_this_process(adopt=not choice.pid_namespace)
        hidden = HiddenFiles(hide)  # read before the server takes them away
        sandbox = cls(choice, cancel, server or ServerProcess.begin(preload), hidden)
        try:
            _expect(sandbox._server.ask(ServerStart(choice, tuple(preload), tuple(hide))), CallResult)
        except BaseException:
            sandbox.close()
            raise
        return sandbox

    @property
    def server_pid(self) -> int:
        return self._server.process.pid

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def run(self, spec: RunSpec, on_output: OnOutput) -> RunResult:
        """Run one command and return how it ended; ``on_output`` is called in this thread with what it writes.

        Raises UserError (unknown user, unusable working directory), SandboxError, SpaceError, or Cancelled. No process of the
        command is left in any case.
        """
        if not spec.argv:
            raise UsageError("a command to run must not be empty")
        self._cancel.check()
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        streams: dict[int, Stream] = {out_read: "stdout", err_read: "stderr"}
        channel = None
        try:
            for fd in streams:
                os.set_blocking(fd, False)
            try:
                channel = self._request(spec, [out_write, err_write], self._cancel)
            finally:
                os.close(out_write)
                os.close(err_write)
            result = self._await_reply(channel, RunResult, streams, on_output, self._cancel)
            for fd in list(streams):
                while _pass_on(fd, streams, on_output):
                    pass
        finally:
            if channel is not None:
                channel.close()
            for fd in (out_read, err_read):
                os.close(fd)
        return result

    def run_on_terminal(self, spec: RunSpec, terminal: int) -> RunResult:
        """As :meth:`run`, for a command that a person talks to through the pseudo terminal ``terminal``, which stays the
        caller's."""
        self._cancel.check()
        with self._request(TerminalRun(spec), [terminal], self._cancel) as channel:
            return self._await_reply(channel, RunResult, {}, _discard, self._cancel)

    def call(
        self, request: SandboxRequest[T], input_fd: int | None = None, output_fd: int | None = None, *, cleanup: bool = False
    ) -> T:
        """Do a request's work in a process in the server's namespaces, and return its result.

        The descriptors stay the caller's, who closes them. An error of the work is raised here as the same class (a full file
        system as SpaceError, a refusal as HostError). Raises Cancelled and SandboxError as ``run``; ``cleanup`` calls go on when
        the build is cancelled.
        """
        cancel = _NEVER if cleanup else self._cancel
        cancel.check()
        call = Call(request, input_fd is not None, output_fd is not None)
        with self._request(call, [fd for fd in (input_fd, output_fd) if fd is not None], cancel) as channel:
            return cast("T", self._await_reply(channel, CallResult, {}, _discard, cancel).value)

    def close(self) -> None:
        """End the server and everything that it still runs."""
        self._server.end()
        if not self.choice.pid_namespace:
            self._end_orphans()
        if self.choice.mode.shares_root:
            self._take_root_back()
        self._hidden.restore()
        with self._lock:
            self._server.close()

    def _end_orphans(self) -> None:
        """What the server does, unless a command of root has killed it: then the command's processes have come to this one, which
        knows them by their session."""
        from gazami.sandbox.inside import reap
        from gazami.sandbox.kernel import linux

        if self._server.process.returncode != 0:
            reap.end_strangers()
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 0)

    def _take_root_back(self) -> None:
        """What the server does, unless a command of root has killed it; nothing if another build has the root by now. The
        server's handlers may need a moment to die."""
        container = ContainerRoot.of(self.choice)
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline:
            try:
                os.close(inplace.reserve(container))
                return
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                return

    def _request(self, message: object, descriptors: list[int], cancel: Cancel) -> socket.socket:
        """Send a request on a socket of its own, which is returned."""
        ours, theirs = socket.socketpair()
        try:
            with theirs, self._lock:
                socket.send_fds(self._server.control, [b"r"], [theirs.fileno()])
            send_message(ours, message, descriptors)
        except OSError:
            ours.close()
            cancel.check()
            raise self._server.died() from None
        except BaseException:
            ours.close()
            raise
        return ours

    def _await_reply(
        self, channel: socket.socket, kind: type[T], streams: dict[int, Stream], on_output: OnOutput, cancel: Cancel
    ) -> T:
        """Pass output on until the reply comes. A set cancel switch ends the request, and what it left is cleaned up first."""
        woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            with cancel.on_set(lambda: os.eventfd_write(woken, 1)):
                return _expect(self._reply(channel, streams, on_output, cancel, woken), kind)
        finally:
            os.close(woken)

    def _reply(self, channel: socket.socket, streams: dict[int, Stream], on_output: OnOutput, cancel: Cancel, woken: int) -> object:
        poller = select.poll()
        for fd in (channel.fileno(), woken, *streams):
            poller.register(fd, select.POLLIN)
        deadline: float | None = None
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            ready = [fd for fd, _ in poller.poll(left)]
            for fd in ready:
                if fd in streams and not _pass_on(fd, streams, on_output, once=True):
                    poller.unregister(fd)
            if woken in ready:
                poller.unregister(woken)
                deadline = time.monotonic() + _GRACE_SECONDS
                with suppress(OSError):
                    channel.shutdown(socket.SHUT_WR)
            if channel.fileno() in ready:
                received = receive_message(channel)
                if received is None or deadline is not None:
                    cancel.check()
                    raise self._server.died()
                return received[0]
            if deadline is not None and time.monotonic() >= deadline:
                cancel.check()


def _expect(message: object, kind: type[T]) -> T:
    """A message of this kind; an error that it describes is raised."""
    if isinstance(message, Failure):
        raise rebuild_error(message)
    assert isinstance(message, kind), message
    return message


def _pass_on(fd: int, streams: dict[int, Stream], on_output: OnOutput, *, once: bool = False) -> bool:
    """Read what is there; False at the end, or, unless ``once``, when there is nothing now."""
    try:
        data = os.read(fd, _CHUNK)
    except BlockingIOError:
        return once
    if data:
        on_output(streams[fd], data)
    return bool(data)


def _discard(stream: Stream, data: bytes) -> None:
    """Calls have no output of their own."""
