"""Linux capabilities by number (capabilities(7)), and those that a container has. Standard library only."""

from __future__ import annotations

from enum import IntEnum


class Capability(IntEnum):
    CHOWN = 0
    DAC_OVERRIDE = 1
    FOWNER = 3
    FSETID = 4
    KILL = 5
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    NET_BIND_SERVICE = 10
    NET_RAW = 13
    SYS_CHROOT = 18
    SYS_ADMIN = 21
    MKNOD = 27
    AUDIT_WRITE = 29
    SETFCAP = 31


DOCKER = frozenset(Capability) - {Capability.SYS_ADMIN}
"""The 14 capabilities that Docker leaves a container."""


def has(bits: int, capability: Capability) -> bool:
    """Whether a set, as :func:`.linux.get_capabilities` returns it, holds ``capability``."""
    return bool(bits >> capability & 1)
