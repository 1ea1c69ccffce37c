"""Which blobs of base images have one reader at most, from the plan alone. Pure but for the question which trees are kept.

What has one reader is streamed to it; everything else is fetched into a file that its readers share (``builder.files.blob_files``).
It is enough to know that there *may* be a second reader.
"""

from __future__ import annotations

import collections
from collections.abc import Callable

from gazami.builder.request import OutputOptions
from gazami.image.digest import Digest
from gazami.image.reference import parse_reference
from gazami.plan.steps import (
    CopyStep,
    ImageBase,
    ImageSource,
    Plan,
    RunStep,
    StageBase,
    StagePlan,
    StageSource,
    WorkdirStep,
    sources_of,
)
from gazami.registry.resolved import Resolved

_SEVERAL = 2


def read_once(
    plan: Plan, images: dict[ImageBase, Resolved], output: OutputOptions, has_tree: Callable[[tuple[Digest, ...]], bool]
) -> frozenset[Digest]:
    """Digests of blobs. ``has_tree``: whether the tree of an image with these blobs is kept from an earlier build."""
    if output.tar_paths or output.oci_layout_paths or output.exports or output.loader:
        return frozenset()
    readers: collections.Counter[Digest] = collections.Counter()
    for image, resolved in images.items():
        count = _of_stages(plan, image, has_tree=has_tree(tuple(layer.digest for layer in resolved.manifest.layers)))
        count += _copies(plan, image, resolved, output)
        for layer in resolved.manifest.layers:
            readers[layer.digest] += count
    return frozenset(digest for digest, count in readers.items() if count <= 1)


def _of_stages(plan: Plan, image: ImageBase, *, has_tree: bool) -> int:
    """How often the stages read an image's layers: for a tree, for a root, for files that are copied."""
    count = 0
    for stage in plan.stages:
        if ImageSource(image) in sources_of(stage):
            count += _SEVERAL
        if _root(plan, stage) != image:
            continue
        if _is_input(plan, stage):
            count += _SEVERAL
        elif any(isinstance(step, RunStep) for step in stage.steps):
            count += 1
        elif any(isinstance(step, CopyStep | WorkdirStep) for step in stage.steps):
            count += not has_tree
    return count


def _copies(plan: Plan, image: ImageBase, resolved: Resolved, output: OutputOptions) -> int:
    """How many other registries the image's layers go to."""
    if not output.push or _root(plan, plan.stage(plan.target)) != image:
        return 0
    return len({parse_reference(text).registry for text in output.destinations} - {resolved.reference.registry})


def _root(plan: Plan, stage: StagePlan) -> object:
    """The image, or nothing, that a stage begins with below all stages."""
    while isinstance(stage.base, StageBase):
        stage = plan.stage(stage.base.number)
    return stage.base


def _is_input(plan: Plan, stage: StagePlan) -> bool:
    return any(StageSource(stage.number) in sources_of(other) or other.base == StageBase(stage.number) for other in plan.stages)
