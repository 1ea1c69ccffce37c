"""The layer of what a command changed: of an upper directory, or by a scan of a plain root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gazami.builder.files.layer_files import observed, phase
from gazami.builder.files.packer import Follow, NewLayer, Packer
from gazami.builder.files.streams import produced
from gazami.builder.stages.stage import Stage
from gazami.builder.stages.work import Work
from gazami.values import replace

if TYPE_CHECKING:
    from gazami.sandbox.spec import RunResult


def snapshot(
    stage: Stage, work: Work, result: RunResult, *, changed: str, packer: Packer, follow: Follow | None
) -> NewLayer:
    """``changed`` is the directory that :meth:`Stage.root` gave. The stage's tree learns of the changes where it is needed and
    shows all below them. Raises what reading the files raises."""
    root = stage.unpacked
    assert root is not None
    sandbox = root.roots.isolation.sandbox
    if root.plain:
        function = "gazami.rootfs.snapshot:scan"
        arguments = {**root.scan_arguments(), "touched": list(result.touched)}
    else:
        function = "gazami.rootfs.snapshot:upper"
        arguments = {"directory": changed, "ignore": [path.strip("/") for path in root.roots.ignore]}
    arguments |= {"omit": list(result.created), "newest": packer.newest}
    if sandbox.choice.records_owners:
        arguments |= {"owner": list(result.owner), "owners": [list(each) for each in result.owners]}
        arguments["lowers"] = list(reversed(root.overlay))
    learns = work.needs_tree and stage.tree.shows == len(stage.image.layers)
    what = "taking a snapshot of the changed files"
    with (
        phase(packer.files.emit, f"snapshot-{changed}", what) as progress,
        produced(sandbox, function, arguments) as chunks,
    ):
        new = packer.stream(observed(chunks, progress), stage.tree.tree if learns else None, follow)
        stage.tree.shows += learns
        return replace(new, directory=changed)
