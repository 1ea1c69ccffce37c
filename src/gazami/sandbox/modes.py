"""The isolation modes of RUN steps, one row each.

Everything that differs between modes is a column or a function that a column names, so code asks a mode for a property and
never for its name. A new mode is a row here, its probe, and a module in :mod:`.inside` if it prepares roots in a new way.
Standard library only, and nothing heavy: the command line reads the names.
"""

from __future__ import annotations

from gazami.sandbox.kernel.capabilities import Capability
from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class Mode:
    """``probe`` is the ``module:function`` that tries the mode: ``(name, ProbeRequest, directory) -> Choice``, called in a
    process of its own with an empty directory in the state directory; it raises SandboxError to say why the mode does not work."""

    name: str
    probe: str
    advice: str = ""
    """The line of a Kubernetes container that leads from this mode to a better one; empty for the best."""
    user_advice: str = ""
    """The line for a container that does not run as root, where that is another one."""
    mounts: bool = False
    """Commands have a mount namespace: roots can be overlays and have mounts."""
    user_namespace: bool = False
    """Files of roots belong to the ids of a user namespace."""
    records_owners: bool = False
    """The user namespace has one id, and owners are recorded beside the files (:mod:`gazami.layer.recorded_owner`)."""
    shares_root: bool = False
    """Commands have the container's own ``/``, one after the other (:mod:`.inside.inplace`)."""
    withheld: frozenset[Capability] = frozenset()
    """Capabilities of a container that commands do not get."""
    fallback: str = ""
    """The name of the mode for a step that this one cannot run."""


_UNCONFINED = "securityContext: {seccompProfile: {type: Unconfined}}"
_SHIPPED = (
    "securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/gazami.json}}"
    "  # installed by deploy/kubernetes/seccomp, fits the level restricted; else type: Unconfined"
)
_DEFAULT_CAPABILITIES = f"{_UNCONFINED}  # and the default capabilities"
_PROBES = "gazami.sandbox.inside.probes"

MODES = (
    Mode("namespaces", probe=f"{_PROBES}:try_mount_namespace", mounts=True),
    Mode(
        "userns",
        probe=f"{_PROBES}:try_user_namespace",
        advice="securityContext: {capabilities: {add: [SYS_ADMIN]}, seccompProfile: {type: Unconfined}}",
        user_advice="securityContext: {runAsUser: 0, capabilities: {add: [SYS_ADMIN]}, seccompProfile: {type: Unconfined}}",
        mounts=True,
        user_namespace=True,
    ),
    Mode(
        "inplace",
        probe=f"{_PROBES}:try_in_place",
        advice=_DEFAULT_CAPABILITIES,
        shares_root=True,
        withheld=frozenset({Capability.SETPCAP}),  # it can then look into no process that has it: ptrace(2)
        fallback="chroot",
    ),
    Mode(
        "userns-single",
        probe=f"{_PROBES}:try_one_id",
        advice="securityContext: {runAsUser: 0}  # and no capabilities: {drop: [ALL]}",
        mounts=True,
        user_namespace=True,
        records_owners=True,
    ),
    Mode(
        "chroot",
        probe=f"{_PROBES}:try_chroot",
        advice=_DEFAULT_CAPABILITIES,
        withheld=frozenset({Capability.SYS_CHROOT}),  # with it a process can leave a chroot
    ),
)
"""From the best down."""


def mode_of(name: str) -> Mode:
    """The row of a name. Raises KeyError."""
    for mode in MODES:
        if mode.name == name:
            return mode
    raise KeyError(name)


def advice(name: str | None, *, root: bool) -> str:
    """The line of a Kubernetes container that leads to a better mode than ``name``, None where no mode works."""
    if name is None:
        return f"{_UNCONFINED}  # and no capabilities: {{drop: [ALL]}}" if root else _SHIPPED
    mode = mode_of(name)
    return mode.advice if root else mode.user_advice or mode.advice
