"""What a target reaches: stages, images, and the ONBUILD instructions that the bases of its stages bring along. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.parser import parse_trigger
from gazami.errors import DockerfileError
from gazami.image.config import ImageConfig
from gazami.image.digest import Digest
from gazami.plan.outline import Outline, StageOutline
from gazami.plan.steps import ImageBase, ImageSource, ScratchBase, StageBase, StageSource
from gazami.values import fast_dataclass, replace

MAX_TRIGGERS = 1000
"""ONBUILD instructions of a base that a build carries out."""


@fast_dataclass(frozen=True, slots=True)
class ResolvedImage:
    """What the plan needs to know of an image: its manifest's digest and its config."""

    digest: Digest
    config: ImageConfig


def reached(outline: Outline, images: Mapping[ImageBase, ResolvedImage]) -> tuple[set[int], tuple[ImageBase, ...]]:
    """The stages that the target reaches, and the images among their needs that are not resolved yet."""
    needed: set[int] = set()
    missing: dict[ImageBase, None] = {}
    queue = [outline.target]
    while queue:
        number = queue.pop()
        if number in needed:
            continue
        needed.add(number)
        stage = outline.stages[number]
        for need in outline.needs(stage, triggers(outline, stage, images)):
            match need:
                case StageBase(other) | StageSource(other):
                    queue.append(other)
                case ImageBase() if need not in images:
                    missing[need] = None
                case ImageSource(image) if image not in images:
                    missing[image] = None
    return needed, tuple(missing)


def triggers(outline: Outline, stage: StageOutline, images: Mapping[ImageBase, ResolvedImage]) -> tuple[ast.Instruction, ...]:
    """The ONBUILD instructions that a stage starts with, located at its FROM."""
    match stage.base:
        case _ if stage.replaced:
            texts: tuple[str, ...] = ()
        case ScratchBase():
            texts = ()
        case ImageBase():
            texts = images[stage.base].config.onbuild if stage.base in images else ()
            if len(texts) > MAX_TRIGGERS:
                raise DockerfileError(
                    f"{stage.base.reference} has {len(texts)} ONBUILD instructions, more than {MAX_TRIGGERS}",
                    hint="choose another base image",
                    span=stage.from_.written.span,
                    source=outline.source,
                )
        case StageBase(number):
            instructions = outline.stages[number].instructions
            texts = tuple(each.trigger for each in instructions if isinstance(each, ast.Onbuild))
    try:
        found = tuple(parse_trigger(text) for text in texts)
    except DockerfileError as error:
        error.source = error.span = None
        raise error.at(stage.from_.written.span, outline.source) from None
    return tuple(replace(each, written=replace(each.written, span=stage.from_.written.span)) for each in found)
