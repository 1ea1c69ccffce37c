"""One command, from request to reply. Three processes of the server's take part:

* the *handler*, one per request, stays in the server's namespaces: it watches the clock and the caller, kills, and cleans up;
* the *keeper* enters namespaces of its own, furnishes the root, starts the command and reaps; it is process 1 of the
  PID namespace, so the kernel kills everything else in there when it ends;
* the *command*.

Keeper and command report to the handler through one pipe, a JSON object a line: ``{"record": …}`` what was made in the
root, ``{"error": …}``, ``{"status": …}``. The pipe closes in the command when exec succeeds.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import select
import signal
import socket
import time
from contextlib import suppress
from typing import Any, NoReturn

from gazami.errors import GazamiError, SandboxError, SpaceError
from gazami.sandbox import _chroot, _exec, _linux, _lo, _oom, _reap, _room, _targets
from gazami.sandbox._protocol import describe_error, send_message
from gazami.sandbox._room import Setting
from gazami.sandbox._targets import Targets
from gazami.sandbox.spec import OverlayRoot, PlainRoot, RunSpec

_KILLED = 128 + signal.SIGKILL


def run(channel: socket.socket, spec: RunSpec, output: tuple[int, int], setting: Setting, filter_: bytes | None) -> None:
    """Run the command and send the reply; the caller's closing of ``channel`` kills it."""
    before = _oom.kills()
    read, write = os.pipe()
    if setting.pid_namespace:
        _linux.unshare(_linux.CLONE_NEWPID)
    else:
        _linux.prctl(_linux.PR_SET_CHILD_SUBREAPER, 1)
    keeper = os.fork()
    if keeper == 0:
        os.close(read)
        _keep(spec, output, write, setting, filter_)
    for fd in (*output, write):
        os.close(fd)
    report, timed_out = _watch(channel, read, keeper, spec.timeout)
    ended = os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1])
    leftovers = 0 if setting.pid_namespace else _reap.end_children()
    created = _clean(spec, report)
    if "error" in report and not timed_out:
        send_message(channel, {"error": report["error"]})
        return
    status = report.get("status", _KILLED if ended else 0)
    after = _oom.kills() if status == _KILLED else before
    send_message(
        channel,
        {
            "exit_code": _KILLED if timed_out else status,
            "created": created,
            "timed_out": timed_out,
            "oom_killed": not timed_out and before is not None and after is not None and after > before,
            "leftovers": report.get("leftovers", leftovers),
        },
    )


def _watch(channel: socket.socket, read: int, keeper: int, timeout: float | None) -> tuple[dict[str, Any], bool]:
    """Wait for the end of the keeper's reports; kill it when the time is up or when the caller is gone."""
    deadline = None if timeout is None else time.monotonic() + timeout
    poller = select.poll()
    poller.register(read, select.POLLIN)
    poller.register(channel, select.POLLIN)
    data, timed_out, killed = bytearray(), False, False
    while True:
        wait = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        events = dict(poller.poll(wait))
        if read in events:
            chunk = os.read(read, 65536)
            if not chunk:
                break
            data += chunk
        if channel.fileno() in events:
            poller.unregister(channel)
            os.kill(keeper, signal.SIGKILL)
            killed = True
        if not events:
            if killed:
                break
            os.kill(keeper, signal.SIGKILL)
            timed_out = killed = True
        if killed:
            deadline = time.monotonic() + 1.0
    os.close(read)
    report: dict[str, Any] = {}
    for line in bytes(data).splitlines():
        with suppress(ValueError):
            report.update(json.loads(line))
    return report, timed_out


def _clean(spec: RunSpec, report: dict[str, Any]) -> tuple[str, ...]:
    base = spec.root.upper if isinstance(spec.root, OverlayRoot) else spec.root.path
    if "loan" in report:
        _chroot.take_back(base, report["loan"])
    return _targets.clean(base, report["record"]) if "record" in report else ()


def _keep(
    spec: RunSpec, output: tuple[int, int], reports: int, setting: Setting, filter_: bytes | None
) -> NoReturn:
    """The keeper: furnish, start, reap, report. Never returns."""
    status = 1
    try:
        gc.disable()
        _linux.prctl(_linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        processes = os.open("/proc", os.O_RDONLY | os.O_CLOEXEC) if setting.pid_namespace else None
        if not setting.pid_namespace:
            _linux.prctl(_linux.PR_SET_CHILD_SUBREAPER, 1)
        if _reader_is_gone(reports):
            os._exit(1)
        _start(spec, output, reports, setting, filter_)
        status = 0
    except BaseException as error:
        _report(reports, {"error": describe_error(error)})
    finally:
        os._exit(status)


def _report(reports: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(reports, data) :]
