"""The sandbox's server is begun when a Dockerfile with a RUN was read: it starts while registries are asked for the bases."""

from __future__ import annotations

from gazami.sandbox.server_process import Standby

PRELOAD = ("gazami.rootfs.unpack", "gazami.rootfs.snapshot", "gazami.rootfs.directories", "gazami.sandbox.inside.probes")
"""Modules whose functions run in the sandbox's process."""


def begun() -> Standby:
    """A server's process that starts now, for whoever will need it."""
    standby = Standby(PRELOAD)
    standby.begin()
    return standby
