"""One build as several Jobs: stages that do not need each other run their commands on nodes of their own, then the target takes
their layers from the layer cache. A key says all that a step is made of, so whatever a Job finds there is what it would have made.
"""

from __future__ import annotations

from gazami.builder.cached.places import main_places
from gazami.builder.inputs.dockerfile import inputs_of
from gazami.builder.request import BuildRequest
from gazami.dockerfile import instructions as ast
from gazami.dockerfile.parser import parse
from gazami.errors import Source, UsageError
from gazami.image.platform import Platform
from gazami.kubernetes.job import Build
from gazami.plan.outline import Outline, StageOutline, outline
from gazami.plan.steps import StageBase, StageSource
from gazami.values import fast_dataclass, replace

_FIRST = 100
"""The number of the first part in the view; those of the builds of the target begin at 0."""

_OF_THE_TARGET = (
    "--destination=", "--target=", "--cache=", "--cache-repo=", "--cache-lease=", "--no-push=", "--if-exists=",
    "--create-repository=", "--index=", "--index-run=",
)  # fmt: skip


@fast_dataclass(frozen=True, slots=True)
class Part:
    """``name`` is what the view calls it, ``number`` its place there."""

    build: Build
    name: str
    number: int


def check_split(request: BuildRequest, source: Source | None) -> tuple[str, ...]:
    """The names of the stages that get Jobs of their own; none where there are not at least two to gain by.

    Raises :class:`UsageError` where Jobs could not meet, or the Dockerfile is not on this machine.
    """
    if source is None:
        raise UsageError(
            "--split has to read the Dockerfile, which is not on this machine", hint="submit a folder, or name the file: -f"
        )
    if not main_places(request.cache, request.output):
        raise UsageError("--split needs a cache where the Jobs meet", hint="--cache-repo, or a --destination")
    if not request.cache.push or not request.cache.layers.runs:
        raise UsageError("--split needs a cache that the Jobs may write layers of RUN to")
    outlined = outline(parse(source), source, inputs_of(request.plan, request.context.named))
    return tuple(stage.name for stage in _parts(outlined))


def parts(
    stages: tuple[str, ...], builds: tuple[Build, ...], platforms: tuple[Platform, ...], places: tuple[str, ...]
) -> list[Part]:
    """A Job for each stage and each of ``builds``, which are the Jobs of the target."""
    made: list[Part] = []
    meeting = (f"--cache-repo={','.join(places)}", "--cache=true", "--cache-lease=on")
    for number, stage in enumerate(stages):
        for place, build in enumerate(builds):
            arguments = tuple(word for word in build.arguments if not word.startswith(_OF_THE_TARGET))
            one = replace(
                build, name=f"{build.name}-{number}", arguments=(*arguments, "--no-push=true", f"--target={stage}", *meeting)
            )
            name = f"{stage} {platforms[place]}" if len(builds) > 1 else stage
            made.append(Part(one, name, _FIRST + len(made)))
    return made


def joining(build: Build) -> Build:
    """The Job of the target, which takes the parts' layers."""
    return replace(build, arguments=(*(word for word in build.arguments if not word.startswith("--cache=")), "--cache=true"))


def _parts(outlined: Outline) -> list[StageOutline]:
    below = {stage.number: _below(outlined, stage) for stage in outlined.stages}
    heavy = [
        outlined.stages[number]
        for number in sorted(below[outlined.target])
        if any(isinstance(each, ast.Run) for each in outlined.stages[number].instructions)
    ]
    tips = [stage for stage in heavy if not any(stage.number in below[other.number] for other in heavy)]
    named = [stage for stage in tips if outlined.stage_named(stage.name, len(outlined.stages)) == stage.number]
    return named if len(named) > 1 else []


def _below(outlined: Outline, stage: StageOutline) -> set[int]:
    """The numbers of the stages that one needs, whatever is between; not its own."""
    found: set[int] = set()
    todo = [stage]
    while todo:
        for need in outlined.needs(todo.pop()):
            if isinstance(need, StageBase | StageSource) and need.number not in found:
                found.add(need.number)
                todo.append(outlined.stages[need.number])
    return found
