"""Names of images that look like a stage's: a typo in ``--from=`` would be pulled from Docker Hub without a word. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.mounts import mount_source
from gazami.dockerfile.rules import RuleHit
from gazami.dockerfile.suggest import nearest
from gazami.errors import DockerfileError
from gazami.plan.outline import Outline, StageOutline
from gazami.plan.steps import ImageBase, ImageSource
from gazami.values import fast_dataclass

_SHORTEST = 4
"""Letters of a name that is compared; of shorter ones nearly every other is within two letters."""

_COMPARED = 300
"""Stages among which one that looks like the name is sought."""


@fast_dataclass(frozen=True, slots=True)
class Mention:
    """A stage's mention of an image. ``flag`` is the text before the name; empty in FROM."""

    stage: StageOutline
    written: ast.Written
    image: ImageBase
    flag: str

    @property
    def name(self) -> str:
        return self.image.reference


def mentions(outline: Outline) -> Iterator[Mention]:
    """Every image that the stages name, in the order of the text."""
    for stage in outline.stages:
        if isinstance(stage.base, ImageBase):
            yield Mention(stage, stage.from_.written, stage.base, "")
        yield from _sources(stage, outline)


def _sources(stage: StageOutline, outline: Outline) -> Iterator[Mention]:
    """The images that a stage copies from or mounts."""
    for instruction in stage.instructions:
        names: tuple[tuple[str, str], ...] = ()
        if isinstance(instruction, ast.Copy) and instruction.flags.from_:
            names = (("--from=", instruction.flags.from_),)
        elif isinstance(instruction, ast.Run):
            names = tuple(("from=", mount_source(text)) for text in instruction.flags.mounts)
        for flag, name in names:
            image = _image(outline, stage, name, copy=flag == "--from=") if name else None
            if image is not None:
                yield Mention(stage, instruction.written, image, flag)


def unknown_stage(outline: Outline, number: int) -> Iterator[RuleHit]:
    """The ``--from`` of a stage that name no stage and are nearly the name of one."""
    for mention in _sources(outline.stages[number], outline):
        if close := meant(mention, outline):
            name = mention.name
            yield RuleHit(mention.written, f"{mention.flag}{name} is not a stage: pulling the image {name} (did you mean {close}?)")


def advice(image: ImageBase, outline: Outline) -> tuple[Mention | None, str | None]:
    """Where an image that cannot be pulled is named first, and the stage that its name may be meant to be."""
    first: Mention | None = None
    for mention in mentions(outline):
        if mention.image != image:
            continue
        first = first or mention
        name = mention.name
        if later := outline.named.get(name.lower()):
            line = outline.stages[later[0]].from_.written.span.start
            return mention, f"the stage {name} is defined below, in line {line}: a stage can only use those above it"
        if close := meant(mention, outline):
            return mention, f"did you mean the stage {close}?"
    return first, None


def meant(mention: Mention, outline: Outline) -> str | None:
    """The stage above (or the further context) whose name is nearly that of the image."""
    name = mention.name
    if len(name) < _SHORTEST or any(char in name for char in "/.:@") or len(outline.named) > _COMPARED:
        return None
    above = (stage for stage, numbers in outline.named.items() if numbers[0] < mention.stage.number)
    return nearest(name, (*above, *outline.contexts))


def _image(outline: Outline, stage: StageOutline, name: str, *, copy: bool) -> ImageBase | None:
    try:
        found = outline.copy_source(name, stage) if copy else outline.named_source(name, stage)
    except DockerfileError:
        return None
    return found.image if isinstance(found, ImageSource) and found.image.reference == name else None
