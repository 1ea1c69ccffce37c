"""The layer of what a command changed: of an upper directory, or by a scan of a plain root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gazami.builder.files.layer_files import observed, phase
from gazami.builder.files.packer import Follow, NewLayer, Packer
from gazami.builder.files.streams import produced
from gazami.builder.stages.stage import Stage
from gazami.builder.stages.work import StepWork
from gazami.events import StepId
from gazami.rootfs.requests import Owners, ScanRequest, UpperRequest
from gazami.values import replace

if TYPE_CHECKING:
    from gazami.sandbox.spec import RunResult


def snapshot(stage: Stage, work: StepWork, result: RunResult, *, changed: str, packer: Packer, follow: Follow | None) -> NewLayer:
    """``changed`` is the directory that :meth:`Stage.root` gave. The stage's tree learns of the changes where it is needed and
    shows all below them. Raises what reading the files raises."""
    root = stage.unpacked
    assert root is not None
    sandbox = root.roots.isolation.sandbox
    owners = None
    if sandbox.choice.mode.records_owners:
        owners = Owners(result.owner, result.owners, tuple(reversed(root.overlay)))
    omit, ignore, newest = result.created, root.roots.ignore, packer.newest
    request: ScanRequest | UpperRequest
    if root.plain:
        mode = root.roots.snapshot.mode
        request = ScanRequest(root.plain, root.listing, mode, omit, ignore, result.touched, newest, owners)
    else:
        request = UpperRequest(changed, omit, ignore, newest, owners)
    learns = work.needs_tree and stage.tree.shows == len(stage.image.layers)
    what = "taking a snapshot of the changed files"
    step = StepId(stage.plan.number, work.step.common.number)
    with phase(packer.files.emit, f"snapshot-{changed}", what, step=step) as progress, produced(sandbox, request) as chunks:
        new = packer.stream(observed(chunks, progress), stage.tree.tree if learns else None, follow)
        if learns:
            stage.tree.applied()
        if not root.plain and root.roots.isolation.files_are_readable:
            packer.files.directories[new.name] = changed  # the tree's name of the layer: copies read the files that are here
        return replace(new, directory=changed, incomplete=result.incomplete)
