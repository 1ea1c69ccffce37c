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
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from gazami.errors import SandboxError
from gazami.sandbox.inside import inplace, launch, reap, step
from gazami.sandbox.inside.hidden import HiddenFiles
from gazami.sandbox.inside.inplace import Ground
from gazami.sandbox.inside.launch import Filter
from gazami.sandbox.inside.root_setup import Setting
from gazami.sandbox.kernel import linux, namespaces, seccomp
from gazami.sandbox.protocol import describe_error, receive_descriptors, receive_message, send_message, spec_from_json

_FAREWELL = 4
"""Seconds that handlers get to clean up when gazami is gone."""


@dataclass(frozen=True, slots=True)
class _Server:
    control: socket.socket
    setting: Setting
    filter: Filter | None
    hidden: HiddenFiles


def main() -> NoReturn:
    """Serve until the control socket ends. ``argv[1]`` is the configuration as JSON."""
    configuration = json.loads(sys.argv[1])
    control = socket.socket(fileno=configuration["control"])
    control.set_inheritable(False)
    try:
        server = _prepare(configuration, control)
    except BaseException as error:
        send_message(control, {"error": describe_error(error)})
        os._exit(1)
    send_message(control, {"ready": os.getpid()})
    _serve(server)
    signal.signal(signal.SIGALRM, _stop_waiting)
    signal.alarm(_FAREWELL)
    with suppress(ChildProcessError, TimeoutError):
        os.waitpid(-1, 0)
    server.hidden.restore()
    if not server.setting.pid_namespace:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        reap.end_children(_FAREWELL)
    os._exit(0)


def _stop_waiting(number: int, frame: object) -> NoReturn:
    raise TimeoutError


def _prepare(configuration: dict[str, Any], control: socket.socket) -> _Server:
    linux.overwrite_title("gazami-sandbox")
    linux.set_name("gazami-sandbox")
    os.umask(0o022)
    setting = _setting(configuration)
    if setting.mode in ("userns", "userns-single"):
        namespaces.enter_user_namespace(configuration["ids"])
    if setting.mounts:
        namespaces.enter_mount_namespace()
    if not setting.pid_namespace:
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    for module in configuration["preload"]:
        importlib.import_module(module)
    filter_ = _filter(setting)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    hidden = HiddenFiles(configuration["hide"])
    hidden.unlink()
    return _Server(control, setting, filter_, hidden)


def _filter(setting: Setting) -> Filter | None:
    """The system calls that commands may make; None where they have those of this container's own filter, and another could only
    be loaded by giving up set-user-ID programs (sudo) with no_new_privs (seccomp(2))."""
    shares_processes = not (setting.mounts or setting.pid_namespace)
    program = seccomp.docker_filter(linux.MACHINE, without=seccomp.INTO_OTHERS if shares_processes else frozenset())
    if program is None:
        return None
    if linux.get_capabilities()[0] >> launch.SYS_ADMIN & 1:
        return Filter(program, no_new_privileges=False)
    return None if seccomp.is_filtered() else Filter(program, no_new_privileges=True)


def _setting(configuration: dict[str, Any]) -> Setting:
    ground = None
    if configuration["mode"] == "inplace":
        ground = Ground(configuration["place"], frozenset(configuration["keep"]), own=tuple(configuration["own"]))
        try:
            inplace.reserve(ground)  # as long as this process and its handlers live
        except BlockingIOError:
            raise SandboxError("another build has this container's root") from None
    return Setting(
        configuration["mode"], configuration["userxattr"], configuration["pid_namespace"], configuration["device_cgroup"],
        ground,
    )  # fmt: skip


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
    """One request: ``run`` a command or ``call`` a function."""
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control = os.open(os.devnull, os.O_RDONLY)
        os.dup2(control, server.control.fileno(), inheritable=False)
        os.close(control)
        with socket.socket(fileno=fd) as channel:
            received = receive_message(channel)
            if received is not None:
                with suppress(ConnectionError):
                    _answer(server, channel, *received)
    finally:
        os._exit(0)


def _answer(server: _Server, channel: socket.socket, request: dict[str, Any], descriptors: list[int]) -> None:
    try:
        if "run" in request:
            spec = spec_from_json(request["run"])
            step.run(channel, spec, (descriptors[0], descriptors[1]), server.setting, server.filter)
        else:
            _call(channel, request, descriptors)
    except ConnectionError:
        raise
    except BaseException as error:
        send_message(channel, {"error": describe_error(error)})


def _call(channel: socket.socket, request: dict[str, Any], descriptors: list[int]) -> None:
    """Run a function in a process that can be killed when the caller goes away."""
    remaining = iter(descriptors)
    source = next(remaining) if request["input"] else None
    sink = next(remaining) if request["output"] else None
    alive_read, alive_write = os.pipe()
    worker = os.fork()
    if worker == 0:
        _work(channel, request, source, sink)
    for fd in (*descriptors, alive_write):
        os.close(fd)
    poller = select.poll()
    poller.register(alive_read, select.POLLIN)
    poller.register(channel, select.POLLIN)
    if alive_read not in dict(poller.poll()):
        os.kill(worker, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    if status != 0:
        raise SandboxError(f"the process that ran {request['call']} ended with status {status}")


def _work(channel: socket.socket, request: dict[str, Any], source: int | None, sink: int | None) -> NoReturn:
    status = 1
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        gc.enable()
        module, _, name = request["call"].partition(":")
        try:
            function = getattr(importlib.import_module(module), name)
            answer = {"result": function(request["arguments"], source, sink)}
        except BaseException as error:
            answer = {"error": describe_error(error)}
        send_message(channel, answer)
        status = 0
    finally:
        os._exit(status)
