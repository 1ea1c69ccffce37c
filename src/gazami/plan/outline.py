"""The stage graph: global arguments, what each FROM means, the target, and which stages and images it needs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.mounts import mount_source
from gazami.dockerfile.suggest import did_you_mean
from gazami.dockerfile.words import Expander
from gazami.errors import DockerfileError, Source, UsageError
from gazami.image.platform import Platform, parse_platform
from gazami.image.reference import parse_reference
from gazami.plan.scope import GlobalScope, check_build_args, predefined
from gazami.plan.steps import (
    Base,
    ContextSource,
    FilesFrom,
    ImageBase,
    ImageSource,
    NamedSource,
    ScratchBase,
    StageBase,
    StageSource,
)
from gazami.plan.versions import Versions
from gazami.values import dataclass, field


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a Dockerfile is compiled with; ``build_args`` have values, ``host`` is the machine's own platform."""

    build_args: Mapping[str, str]
    host: Platform
    platform: Platform
    target: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    contexts: Mapping[str, str] = field(default_factory=dict)
    """Further build contexts: :func:`context_name` of the name, and the value as given."""


@dataclass(frozen=True, slots=True)
class StageOutline:
    """``platform_given``: the FROM has a ``--platform`` of its own. ``replaced``: a named context of the stage's name stands
    in for it, so neither its instructions nor the ONBUILD triggers of the context run."""

    index: int
    from_: ast.From
    base: Base
    base_text: str
    platform: Platform
    platform_given: bool
    instructions: tuple[ast.Instruction, ...]
    replaced: bool = False

    @property
    def name(self) -> str:
        return self.from_.name


@dataclass(frozen=True, slots=True)
class Outline:
    """All stages of the file, in order; ``target`` is the index of the one that becomes the image."""

    source: Source
    escape: str
    globals_: GlobalScope
    stages: tuple[StageOutline, ...]
    target: int
    contexts: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The indexes of the stages of each name, in order."""

    def stage_named(self, name: str, before: int) -> int | None:
        """The last stage of that name among those before index ``before``."""
        indexes = self.named.get(name.lower(), ())
        at = bisect_left(indexes, before)
        return indexes[at - 1] if at else None

    def copy_source(self, name: str, stage: StageOutline) -> FilesFrom:
        """What ``--from=name`` means in a stage. Raises :class:`DockerfileError` without a span."""
        if not name:
            return ContextSource()
        if name.isascii() and name.isdigit():
            index = int(name)
            if index >= len(self.stages):
                raise DockerfileError(f"invalid stage index {name} in --from: there are {len(self.stages)} stages")
            return self._earlier(index, name, stage)
        return self.named_source(name, stage)

    def named_source(self, name: str, stage: StageOutline) -> FilesFrom:
        """What ``from=name`` means in a mount: a stage's name or an image, never an index."""
        found = self.stage_named(name, stage.index)
        if found is not None:
            return StageSource(found)
        if context_name(name) in self.contexts:
            source = _context_source(context_name(name), self.contexts, stage.platform)
            if isinstance(source, ScratchBase):
                raise DockerfileError(f"--from={name} is scratch, which has no files to copy")
            return source
        if name.lower() == stage.name:
            raise DockerfileError(f"circular dependency detected on stage: {stage.name}")
        if name.lower() in self.named:
            raise DockerfileError(
                f"stage {name!r} is defined after this instruction", hint="a stage can only use the stages above it"
            )
        if name.lower() == "scratch":
            raise DockerfileError("--from=scratch has no files to copy")
        return ImageSource(ImageBase(_checked_reference(name), stage.platform))

    def _earlier(self, index: int, name: str, stage: StageOutline) -> FilesFrom:
        if index == stage.index:
            raise DockerfileError(f"circular dependency detected on stage: {name}")
        if index > stage.index:
            raise DockerfileError(f"invalid stage index {name}: it comes after this stage")
        return StageSource(index)

    def needs(self, stage: StageOutline, extra: tuple[ast.Instruction, ...] = ()) -> tuple[FilesFrom | Base, ...]:
        """The base and the sources of a stage, ONBUILD triggers given in ``extra``."""
        found: list[FilesFrom | Base] = [stage.base]
        for instruction in (*extra, *stage.instructions):
            try:
                found += self._sources(instruction, stage)
            except DockerfileError as error:
                raise error.at(instruction.written.span, self.source) from None
        return tuple(found)

    def _sources(self, instruction: ast.Instruction, stage: StageOutline) -> list[FilesFrom]:
        if isinstance(instruction, ast.Copy) and instruction.from_:
            return [self.copy_source(instruction.from_, stage)]
        if isinstance(instruction, ast.Run):
            names = [mount_source(text) for text in instruction.mounts]
            return [self.named_source(name, stage) for name in names if name]
        return []


def outline(dockerfile: ast.Dockerfile, source: Source, inputs: Inputs) -> Outline:
    """Resolve the stage graph. Raises :class:`DockerfileError` with a span, or :class:`UsageError` for the target."""
    check_build_args(inputs.build_args)
    groups = _stages(dockerfile)
    target = _target(groups, inputs.target)
    target_name = inputs.target or groups[-1][0].name
    seeds = predefined(inputs.host, inputs.platform, target_name)
    expander = Expander(dockerfile.escape)
    globals_ = GlobalScope(Versions({name: inputs.build_args.get(name, value) for name, value in seeds.items()}))
    for instruction in dockerfile.instructions:
        if isinstance(instruction, ast.From):
            break
        if isinstance(instruction, ast.Arg):
            try:
                globals_ = globals_.declare(instruction.pairs, inputs.build_args, expander)
            except DockerfileError as error:
                raise error.at(instruction.written.span, source) from None
    stages: list[StageOutline] = []
    named: dict[str, list[int]] = {}
    latest: dict[str, StageOutline] = {}
    for index, (from_, instructions) in enumerate(groups):
        try:
            stages.append(_stage(index, from_, instructions, latest, globals_, expander, inputs))
        except DockerfileError as error:
            raise error.at(from_.written.span, source) from None
        if from_.name:
            named.setdefault(from_.name, []).append(index)
            latest[from_.name] = stages[-1]
    indexes = {name: tuple(each) for name, each in named.items()}
    result = Outline(source, dockerfile.escape, globals_, tuple(stages), target, inputs.contexts, indexes)
    for stage in result.stages:  # also those that the target does not need: a mistake in them is a mistake
        result.needs(stage)
    return result


def _stages(dockerfile: ast.Dockerfile) -> list[tuple[ast.From, tuple[ast.Instruction, ...]]]:
    groups: list[tuple[ast.From, list[ast.Instruction]]] = []
    for instruction in dockerfile.instructions:
        if isinstance(instruction, ast.From):
            groups.append((instruction, []))
        elif groups:
            groups[-1][1].append(instruction)
    return [(from_, tuple(rest)) for from_, rest in groups]


def _target(groups: list[tuple[ast.From, tuple[ast.Instruction, ...]]], wanted: str) -> int:
    if not wanted:
        return len(groups) - 1
    for index in range(len(groups) - 1, -1, -1):
        if groups[index][0].name == wanted.lower():
            return index
    names = [from_.name for from_, _ in groups if from_.name]
    raise UsageError(
        f"target stage {wanted!r} could not be found{did_you_mean(wanted, names)}",
        hint=f"the stages with a name are: {', '.join(names)}" if names else "no stage has a name (FROM … AS name)",
    )


def _stage(
    index: int,
    from_: ast.From,
    instructions: tuple[ast.Instruction, ...],
    before: Mapping[str, StageOutline],
    globals_: GlobalScope,
    expander: Expander,
    inputs: Inputs,
) -> StageOutline:
    if from_.name and context_name(from_.name) in inputs.contexts:
        return _replaced(index, from_, inputs)
    expanded = expander.expand(from_.image, globals_.values)
    if not expanded.text:
        unset = f" (${expanded.unset[0]} has no value)" if expanded.unset else ""
        raise DockerfileError(
            f"base name ({from_.image}) should not be blank{unset}",
            hint="declare it above the first FROM: ARG NAME=default, or give it with --build-arg NAME=value",
        )
    platform, given = inputs.platform, False
    if from_.platform:
        text = expander.expand(from_.platform, globals_.values).text
        try:
            platform, given = parse_platform(text, host=inputs.host), True
        except UsageError as cause:
            raise DockerfileError(f"failed to parse platform {text!r}: {cause.message}", hint=cause.hint) from cause
    stage = before.get(expanded.text)
    if stage is not None:
        return StageOutline(index, from_, StageBase(stage.index), expanded.text, stage.platform, False, instructions)
    if context_name(expanded.text) in inputs.contexts:
        found = _context_source(context_name(expanded.text), inputs.contexts, platform)
        if isinstance(found, ScratchBase):
            return StageOutline(index, from_, found, expanded.text, inputs.platform, False, instructions)
        if isinstance(found, ImageSource):
            return StageOutline(index, from_, found.image, expanded.text, platform, given, instructions)
        files = ast.Copy(from_.written, ("/",), "/", context_name(expanded.text))
        return StageOutline(index, from_, ScratchBase(), expanded.text, platform, given, (files, *instructions))
    if expanded.text == "scratch":
        return StageOutline(index, from_, ScratchBase(), "scratch", inputs.platform, False, instructions)
    base = ImageBase(_checked_reference(expanded.text), platform)
    return StageOutline(index, from_, base, expanded.text, platform, given, instructions)


def _replaced(index: int, from_: ast.From, inputs: Inputs) -> StageOutline:
    """A stage whose place a named context takes."""
    found = _context_source(context_name(from_.name), inputs.contexts, inputs.platform)
    if isinstance(found, ScratchBase):
        return StageOutline(index, from_, found, from_.name, inputs.platform, False, (), True)
    if isinstance(found, ImageSource):
        return StageOutline(index, from_, found.image, from_.name, inputs.platform, False, (), True)
    files = ast.Copy(from_.written, ("/",), "/", context_name(from_.name))
    return StageOutline(index, from_, ScratchBase(), from_.name, inputs.platform, False, (files,), True)


def context_name(text: str) -> str:
    """A context's name as it is compared: lower case, without Docker Hub's host and the tag ``latest``."""
    return text.lower().removeprefix("docker.io/").removeprefix("library/").removesuffix(":latest")


def _context_source(name: str, contexts: Mapping[str, str], platform: Platform) -> FilesFrom | ScratchBase:
    value = contexts[name]
    if value == "docker-image://scratch":
        return ScratchBase()
    if value.startswith("docker-image://"):
        return ImageSource(ImageBase(_checked_reference(value.removeprefix("docker-image://")), platform))
    if value.startswith("oci-layout://"):
        return ImageSource(ImageBase(value, platform))
    return NamedSource(name)


def _checked_reference(text: str) -> str:
    try:
        parse_reference(text)
    except UsageError as cause:
        raise DockerfileError(f"failed to parse stage name {text!r}: {cause.message}", hint=cause.hint) from cause
    return text
