"""The sandbox's server is begun when a Dockerfile with a RUN was read: it starts while registries are asked for the bases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gazami.dockerfile.instructions import Run

if TYPE_CHECKING:
    from gazami.plan.outline import Outline
    from gazami.sandbox.server_process import Standby

PRELOAD = ("gazami.rootfs.unpack", "gazami.rootfs.snapshot", "gazami.rootfs.directories", "gazami.sandbox.inside.probes")
"""Modules whose functions run in the sandbox's process."""


def standby_for(outlined: Outline) -> Standby | None:
    """None where no command will run."""
    stages = outlined.stages[: outlined.target + 1]
    if not any(isinstance(each, Run) for stage in stages for each in stage.instructions):
        return None
    from gazami.sandbox.server_process import Standby

    standby = Standby(PRELOAD)
    standby.begin()
    return standby
