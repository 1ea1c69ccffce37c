"""Does this process run in a container? The signs that kaniko looks for before it dares to work in place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_MARKERS = (
    ("run/.containerenv", "podman"),
    (".dockerenv", "docker"),
    ("var/run/secrets/kubernetes.io/serviceaccount", "kubernetes"),
    ("__runsc_containers__", "gvisor"),
    ("run/systemd/container", "systemd"),
)
_RUNTIMES = re.compile(
    r"\b(docker|rkt|systemd-nspawn|lxc-libvirt|lxc|openvz|kubepods|kube|garden|podman|libpod|gvisor|firejail|wsl)\b"
)


def container_runtime(environ: Mapping[str, str], root: Path = Path("/")) -> str | None:
    """The name of the runtime that this process seems to live in, None outside of containers. ``root`` is for tests."""
    for marker, runtime in _MARKERS:
        if _exists(root / marker):
            return runtime
    if found := _RUNTIMES.search(_text(root / "proc/self/cgroup").replace("_", "-")):
        return found.group(1)
    if _exists(root / "proc/vz") and not _exists(root / "proc/bc"):
        return "openvz"
    if environ.get("container"):
        return environ["container"]
    if _text(root / "proc/version_signature").startswith("Microsoft"):
        return "wsl"
    return "overlay root" if overlay_root(_text(root / "proc/mounts")) else None


def overlay_root(mounts: str) -> bool:
    """Whether the text of ``/proc/mounts`` says that ``/`` is an overlay, as container runtimes make it."""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[1] == "/":
            return fields[2] == "overlay"
    return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
