"""Which isolation RUN steps get: the best mode that works here, or the one asked for.

The attempts are made by a program of their own (:mod:`._probe`), so the threads of the caller are not in their way.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gazami.errors import SandboxError
from gazami.sandbox.client import HELPER_ENVIRONMENT, helper_command
from gazami.sandbox.inside import inplace
from gazami.sandbox.inside.inplace import mount_points as mount_points
from gazami.sandbox.spec import Choice, Mode

ORDER: tuple[Mode, ...] = ("namespaces", "userns", "inplace", "userns-single", "chroot")
"""From the best down."""
_SECONDS = 60.0
_HINT = (
    "Any of these is enough: CAP_SYS_ADMIN; user namespaces (in Kubernetes a pod without the RuntimeDefault seccomp profile, as a"
    " normal user also newuidmap and a range in /etc/subuid); CAP_SYS_CHROOT as root. Dockerfiles without RUN need none of them."
)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Finding:
    """One mode: the choice that it would be, or None and why it does not work."""

    mode: Mode
    choice: Choice | None
    reason: str


def choose(requested: Mode | None, state_dir: Path, *, conditions: Conditions = _NONE) -> Choice:
    """The mode to run steps in. Raises SandboxError with a reason for each mode when none works."""
    modes = (requested,) if requested is not None else ORDER
    choice = decide(survey(state_dir, modes, every=False, conditions=conditions))
    return replace(choice, own=conditions.own)


def decide(findings: Sequence[Finding]) -> Choice:
    """The first mode that works, with the reasons against those before it."""
    rejected: list[tuple[str, str]] = []
    for finding in findings:
        if finding.choice is not None:
            return replace(finding.choice, rejected=tuple(rejected))
        rejected.append((finding.mode, finding.reason))
    reasons = "; ".join(f"{mode}: {reason}" for mode, reason in rejected)
    raise SandboxError(f"RUN steps cannot be isolated here: {reasons}", hint=_HINT)


def survey(
    state_dir: Path, modes: Sequence[Mode] = ORDER, *, every: bool = True, conditions: Conditions = _NONE
) -> tuple[Finding, ...]:
    """Try ``modes`` in this order with roots in ``state_dir``; unless ``every``, only up to the first that works."""
    state = state_dir.resolve()
    lasting = conditions.state_dir or str(state)
    keep = {path.strip("/").split("/", 1)[0] for path in (*conditions.local, lasting, str(state))} | inplace.OWN
    request = {
        "state_dir": str(state),
        "modes": list(modes),
        "all": every,
        "in_container": conditions.in_container,
        "force": conditions.force,
        "keep": sorted(keep),
        "lasting": lasting,
        "prefixes": sorted({sys.prefix, sys.base_prefix}),
    }
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            helper_command("gazami.sandbox.probe", json.dumps(request)),
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
    return tuple(_finding(item) for item in json.loads(done.stdout))


def _finding(item: dict[str, Any]) -> Finding:
    mode: Mode = item["mode"]
    if not item["ok"]:
        return Finding(mode, None, item["reason"])
    reason = "; ".join([item["reason"], *item.get("notes", ())])
    choice = Choice(
        mode=mode,
        reason=reason,
        overlay=item["overlay"],
        userxattr=item.get("userxattr", False),
        pid_namespace=item.get("pid_namespace", False),
        place=item.get("place", ""),
        keep=tuple(item.get("keep", ())),
        ids=item.get("ids", ""),
        device_cgroup=item.get("device_cgroup", False),
    )
    return Finding(mode, choice, reason)
