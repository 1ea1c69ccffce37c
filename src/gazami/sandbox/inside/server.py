"""The fork server: a small program beside gazami in which everything that touches a root happens.

It has one thread and uses the standard library alone, because a process that has threads can neither fork safely nor enter a user
namespace. It enters its namespaces once, says so, and then forks a handler for every socket that comes through the
control socket; the handler reads one request from it. The server itself keeps no state and never waits for a handler:
the kernel reaps them, and they die with it (PR_SET_PDEATHSIG). The end of the control socket is the end of the server.

Modules that calls will need can be imported beforehand (``preload``), so that no handler imports them again.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import NoReturn

from gazami.errors import SandboxError
from gazami.sandbox.inside import inplace, reap, step
from gazami.sandbox.inside.hidden import HiddenFiles
from gazami.sandbox.inside.inplace import ContainerRoot
from gazami.sandbox.inside.launch import SeccompFilter
from gazami.sandbox.inside.probe import probed
from gazami.sandbox.kernel import linux, namespaces, seccomp
from gazami.sandbox.kernel.capabilities import Capability, has
from gazami.sandbox.protocol import describe_error, receive_descriptors, receive_message, send_message
from gazami.sandbox.spec import Call, CallResult, Choice, ProbeRequest, RunSpec, ServerStart, TerminalRun
from gazami.values import fast_dataclass

_FAREWELL = 4
"""Seconds that handlers get to clean up when gazami is gone."""


@fast_dataclass(frozen=True, slots=True)
class _Server:
    control: socket.socket
    choice: Choice
    filter: SeccompFilter | None
    hidden: HiddenFiles


def main() -> NoReturn:
    """Serve until the control socket ends. ``argv[1]`` is the number of its descriptor, the rest are modules to import at once."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    try:
        for module in sys.argv[2:]:
            importlib.import_module(module)
        server = _prepare(_told(control), control)
    except BaseException as error:
        send_message(control, describe_error(error))
        os._exit(1)
    send_message(control, CallResult())
    _serve(server)
    signal.signal(signal.SIGALRM, _stop_waiting)
    signal.alarm(_FAREWELL)
    with suppress(ChildProcessError, TimeoutError):
        os.waitpid(-1, 0)
    server.hidden.restore()
    if not server.choice.pid_namespace:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        reap.end_children(_FAREWELL)
    os._exit(0)


def _told(control: socket.socket) -> ServerStart:
    """Say what works here as often as that is asked, until the mode is told."""
    while True:
        received = receive_message(control)
        match received[0] if received is not None else None:
            case ProbeRequest() as request:
                send_message(control, CallResult(probed(request)))
            case ServerStart() as start:
                return start
            case _:  # nobody needs a sandbox after all
                os._exit(0)


def _stop_waiting(number: int, frame: object) -> NoReturn:
    raise TimeoutError


def _prepare(start: ServerStart, control: socket.socket) -> _Server:
    linux.overwrite_title("gazami-sandbox")
    linux.set_name("gazami-sandbox")
    os.umask(0o022)
    choice = start.choice
    if choice.mode.shares_root:
        _reserve_root(choice)
    if choice.mode.user_namespace:
        namespaces.enter_user_namespace(choice.ids or namespaces.own_ids())
    if choice.mode.mounts:
        namespaces.enter_mount_namespace()
    if not choice.pid_namespace:
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    for module in start.preload:
        importlib.import_module(module)
    filter_ = _filter(choice)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    hidden = HiddenFiles(start.hide)
    hidden.unlink()
    return _Server(control, choice, filter_, hidden)


def _reserve_root(choice: Choice) -> None:
    """Take the container's root as long as this process and its handlers live."""
    try:
        inplace.reserve(ContainerRoot.of(choice))
    except BlockingIOError:
        raise SandboxError("another build has this container's root") from None


def _filter(choice: Choice) -> SeccompFilter | None:
    """The system calls that commands may make; None where they have those of this container's own filter, and another could only
    be loaded by giving up set-user-ID programs (sudo) with no_new_privs (seccomp(2))."""
    shares_processes = not (choice.mode.mounts or choice.pid_namespace)
    program = seccomp.docker_filter(linux.MACHINE, without=seccomp.INTO_OTHERS if shares_processes else frozenset())
    if program is None:
        return None
    if has(linux.get_capabilities()[0], Capability.SYS_ADMIN):
        return SeccompFilter(program, no_new_privileges=False)
    return None if seccomp.is_filtered() else SeccompFilter(program, no_new_privileges=True)


def _serve(server: _Server) -> None:
    while True:
        try:
            data, channels = receive_descriptors(server.control, 1)
        except ConnectionError:
            return
        if not data:
            return
        for fd in channels:
            try:
                child = os.fork()
            except OSError:
                child = -1
            if child == 0:
                _handle(server, fd)
            os.close(fd)


def _handle(server: _Server, fd: int) -> NoReturn:
    """One request: a command or a call."""
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control = os.open(os.devnull, os.O_RDONLY)
        os.dup2(control, server.control.fileno(), inheritable=False)
        os.close(control)
        with socket.socket(fileno=fd) as channel, suppress(ConnectionError):
            _answer(server, channel)
    finally:
        os._exit(0)


def _answer(server: _Server, channel: socket.socket) -> None:
    try:
        received = receive_message(channel)
        if received is None:
            return
        request, descriptors = received
        if isinstance(request, RunSpec):
            step.run(channel, request, (descriptors[0], descriptors[1]), server.choice, server.filter)
        elif isinstance(request, TerminalRun):
            terminal = (descriptors[0], os.dup(descriptors[0]))
            step.run(channel, request.spec, terminal, server.choice, server.filter, on_terminal=True)
        else:
            assert isinstance(request, Call)
            _call(channel, request, descriptors)
    except ConnectionError:
        raise
    except BaseException as error:
        send_message(channel, describe_error(error))


def _call(channel: socket.socket, call: Call, descriptors: list[int]) -> None:
    """Do a request's work in a process that can be killed when the caller goes away. He is told nothing then: the process may have
    sent the beginning of its answer, and another one behind that would be read as its end."""
    remaining = iter(descriptors)
    source = next(remaining) if call.has_input else None
    sink = next(remaining) if call.has_output else None
    alive_read, alive_write = os.pipe()
    worker = os.fork()
    if worker == 0:
        _work(channel, call, source, sink)
    for fd in (*descriptors, alive_write):
        os.close(fd)
    poller = select.poll()
    poller.register(alive_read, select.POLLIN)
    poller.register(channel, select.POLLIN)
    if alive_read not in dict(poller.poll()):
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        return
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    if status != 0:
        raise SandboxError(f"the process that ran {type(call.request).__name__} ended with status {status}")


def _work(channel: socket.socket, call: Call, source: int | None, sink: int | None) -> NoReturn:
    status = 1
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        gc.enable()
        answer: object
        try:
            answer = CallResult(call.request.run(source, sink))
        except BaseException as error:
            answer = describe_error(error)
        send_message(channel, answer)
        status = 0
    finally:
        os._exit(status)
