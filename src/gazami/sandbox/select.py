"""Which isolation RUN steps get: the best mode that works here, or the one asked for.

The attempts are made by a program of their own (:mod:`.inside.probe`), or by a fork server that has not
begun, so the threads of the caller are not in their way.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from gazami.errors import SandboxError
from gazami.sandbox.inside import inplace
from gazami.sandbox.modes import MODES
from gazami.sandbox.protocol import decode, encode
from gazami.sandbox.server_process import HELPER_ENVIRONMENT, ServerProcess, helper_command
from gazami.sandbox.spec import CallResult, Choice, ProbeRequest, ProbeResult
from gazami.values import fast_dataclass, replace

_SECONDS = 60.0
_HINT = (
    "Any of these is enough: CAP_SYS_ADMIN; user namespaces (in Kubernetes a pod without the RuntimeDefault seccomp profile, in a"
    " restricted namespace the Localhost profile of deploy/kubernetes/seccomp; as a normal user also newuidmap and a range in"
    " /etc/subuid); CAP_SYS_CHROOT as root. Dockerfiles without RUN need none of them."
)


@fast_dataclass(frozen=True, slots=True)
class Conditions:
    """What ``inplace`` asks for. ``force`` passes over the signs of gazami's image in a container; ``local`` are absolute
    paths that stay where they are: the context, caches; ``own`` are those that the builder writes to. ``state_dir``
    outlives the build and its folder, so that what a killed one left moved is found again."""

    in_container: bool = False
    force: bool = False
    local: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    state_dir: str = ""


_NONE = Conditions()


def choose(
    requested: str | None, state_dir: Path, *, conditions: Conditions = _NONE, server: ServerProcess | None = None
) -> Choice:
    """The mode to run steps in. ``server`` tries them, if one was begun. Raises SandboxError with a reason for each mode when none
    works."""
    modes = None if requested is None else (requested,)
    request = _request(state_dir, modes, every=False, conditions=conditions)
    choice = decide(_by_server(request, server) if server is not None else _by_program(request))
    return replace(choice, own=conditions.own)


def decide(findings: Sequence[ProbeResult]) -> Choice:
    """The first mode that works, with the reasons against those before it."""
    rejected: list[tuple[str, str]] = []
    for finding in findings:
        if finding.choice is not None:
            return replace(finding.choice, rejected=tuple(rejected))
        rejected.append((finding.mode, finding.reason))
    reasons = "; ".join(f"{mode}: {reason}" for mode, reason in rejected)
    raise SandboxError(f"RUN steps cannot be isolated here: {reasons}", hint=_HINT)


def survey(
    state_dir: Path, modes: Sequence[str] | None = None, *, every: bool = True, conditions: Conditions = _NONE
) -> tuple[ProbeResult, ...]:
    """Try ``modes``, by default all, in this order with roots in ``state_dir``; unless ``every``, only up to the first that
    works."""
    return _by_program(_request(state_dir, modes, every=every, conditions=conditions))


def _request(state_dir: Path, modes: Sequence[str] | None, *, every: bool, conditions: Conditions) -> ProbeRequest:
    """Makes the directory, too."""
    state = state_dir.resolve()
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxError(f"the sandbox modes cannot be tried: {error}") from None
    lasting = conditions.state_dir or str(state)
    keep = {path.strip("/").split("/", 1)[0] for path in (*conditions.local, lasting, str(state))} | inplace.OWN
    return ProbeRequest(
        state_dir=str(state),
        modes=tuple(mode.name for mode in MODES) if modes is None else tuple(modes),
        every=every,
        in_container=conditions.in_container,
        force=conditions.force,
        keep=tuple(sorted(keep)),
        lasting=lasting,
        prefixes=tuple(sorted({sys.prefix, sys.base_prefix})),
    )


def _by_server(request: ProbeRequest, server: ServerProcess) -> tuple[ProbeResult, ...]:
    answer = server.ask(request)
    assert isinstance(answer, CallResult), answer
    return cast("tuple[ProbeResult, ...]", answer.value)


def _by_program(request: ProbeRequest) -> tuple[ProbeResult, ...]:
    try:
        done = subprocess.run(
            helper_command("gazami.sandbox.inside.probe", encode(request)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            env=HELPER_ENVIRONMENT,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxError(f"the sandbox modes cannot be tried: {error}") from None
    if done.returncode != 0:
        raise SandboxError(f"the sandbox modes cannot be tried: {done.stderr.decode(errors='replace').strip()}")
    found: tuple[ProbeResult, ...] = decode(done.stdout)
    return found
