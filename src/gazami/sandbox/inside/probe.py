"""What works here, found out by doing it: a program that tries each mode in a child of its own and prints what happened.

No rule about kernels, containers or security modules is as good as the attempt (:mod:`.probes`). A child's mounts and
namespaces end with it.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable

from gazami.errors import SandboxError
from gazami.sandbox.modes import mode_of
from gazami.sandbox.protocol import decode, encode
from gazami.sandbox.spec import Choice, ProbeRequest, ProbeResult


def main() -> None:
    """``argv[1]`` is a :class:`ProbeRequest`. Prints a tuple of :class:`ProbeResult`."""
    sys.stdout.write(encode(probed(decode(sys.argv[1]))))
    sys.stdout.flush()


def probed(request: ProbeRequest) -> tuple[ProbeResult, ...]:
    """What happened in each mode that was tried. The process must have one thread only."""
    found: list[ProbeResult] = []
    for mode in request.modes:
        found.append(_attempt(mode, request))
        if found[-1].choice is not None and not request.every:
            break
    return tuple(found)


def _attempt(mode: str, request: ProbeRequest) -> ProbeResult:
    """One mode, tried in a child with a directory of its own in the state directory."""
    read, write = os.pipe()
    try:
        directory = tempfile.mkdtemp(prefix="probe-", dir=request.state_dir)
    except OSError as error:
        return ProbeResult(mode, None, f"{request.state_dir}: {error.strerror}")
    probe = _probe_of(mode)  # imported here, not in each child
    child = os.fork()
    if child == 0:
        finding = ProbeResult(mode, None, "the probe failed")
        try:
            choice = probe(mode, request, directory)
            finding = ProbeResult(mode, choice, choice.reason)
        except SandboxError as error:
            finding = ProbeResult(mode, None, error.message)
        except Exception as error:
            finding = ProbeResult(mode, None, f"{type(error).__name__}: {error}")
        finally:
            os.write(write, encode(finding).encode())
            os._exit(0)
    os.close(write)
    with open(read, "rb") as answers:
        answer = answers.read()
    os.waitpid(child, 0)
    shutil.rmtree(directory, ignore_errors=True)
    if not answer:
        return ProbeResult(mode, None, "the probe was killed")
    told: ProbeResult = decode(answer)
    return told


def _probe_of(mode: str) -> Callable[[str, ProbeRequest, str], Choice]:
    module, _, name = mode_of(mode).probe.partition(":")
    probe: Callable[[str, ProbeRequest, str], Choice] = getattr(importlib.import_module(module), name)
    return probe
