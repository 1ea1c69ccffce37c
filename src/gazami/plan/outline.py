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
from gazami.plan.global_args import Globals, expand_from, expand_globals
from gazami.plan.inputs import PlanInputs, check_build_args, context_name
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
from gazami.values import fast_dataclass, field, replace


@fast_dataclass(frozen=True, slots=True)
class StageOutline:
    """``platform_given``: the FROM has a ``--platform`` of its own. ``replaced``: a named context of the stage's name replaces it,
    so neither its instructions nor the ONBUILD triggers of the context run."""

    number: int
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


@fast_dataclass(frozen=True, slots=True)
class Outline:
    """All stages of the file, in order; ``target`` is the number of the one that becomes the image."""

    source: Source
    escape: str
    globals_: Globals
    stages: tuple[StageOutline, ...]
    target: int
    contexts: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The numbers of the stages of each name, in order."""

    @property
    def runs_commands(self) -> bool:
        """Whether a stage up to the target has a RUN of its own."""
        return any(isinstance(each, ast.Run) for stage in self.stages[: self.target + 1] for each in stage.instructions)

    def stage_named(self, name: str, before: int) -> int | None:
        """The last stage of that name among those before number ``before``."""
        numbers = self.named.get(name.lower(), ())
        at = bisect_left(numbers, before)
        return numbers[at - 1] if at else None

    def copy_source(self, name: str, stage: StageOutline) -> FilesFrom:
        """What ``--from=name`` means in a stage. Raises :class:`DockerfileError` without a span."""
        if not name:
            return ContextSource()
        if name.isascii() and name.isdigit():
            number = int(name)
            if number >= len(self.stages):
                raise DockerfileError(f"invalid stage index {name} in --from: there are {len(self.stages)} stages")
            return self._earlier(number, name, stage)
        return self.named_source(name, stage)

    def named_source(self, name: str, stage: StageOutline) -> FilesFrom:
        """What ``from=name`` means in a mount: a stage's name or an image, never an index."""
        found = self.stage_named(name, stage.number)
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

    def _earlier(self, number: int, name: str, stage: StageOutline) -> FilesFrom:
        if number == stage.number:
            raise DockerfileError(f"circular dependency detected on stage: {name}")
        if number > stage.number:
            raise DockerfileError(f"invalid stage index {name}: it comes after this stage")
        return StageSource(number)

    def needs(self, stage: StageOutline, extra: tuple[ast.Instruction, ...] = ()) -> tuple[FilesFrom | Base, ...]:
        """The base and the sources of a stage, ONBUILD triggers given in ``extra``."""
        found: list[FilesFrom | Base] = [stage.base]
        for instruction in (*extra, *stage.instructions):
            try:
                found += self._sources(instruction, stage)
            except DockerfileError as error:
                raise error.at(instruction.written.span, self.source) from None
        return tuple(found)

    def in_images(self) -> frozenset[int]:
        """The numbers of the stages whose files are in an image: the target, those that no other stage uses, which are somebody's
        targets, and all that these are built from."""
        used: set[int] = set()
        for stage in self.stages:
            used |= {each.number for each in self.needs(stage) if isinstance(each, StageBase | StageSource)}
        kept: set[int] = set()
        for stage in self.stages[::-1]:
            if stage.number == self.target or stage.number not in used or stage.number in kept:
                kept.add(stage.number)
                if isinstance(stage.base, StageBase):
                    kept.add(stage.base.number)
        return frozenset(kept)

    def _sources(self, instruction: ast.Instruction, stage: StageOutline) -> list[FilesFrom]:
        if isinstance(instruction, ast.Copy) and instruction.flags.from_:
            return [self.copy_source(instruction.flags.from_, stage)]
        if isinstance(instruction, ast.Run):
            names = [mount_source(text) for text in instruction.flags.mounts]
            return [self.named_source(name, stage) for name in names if name]
        return []


def outline(dockerfile: ast.Dockerfile, source: Source, inputs: PlanInputs) -> Outline:
    """Resolve the stage graph. Raises :class:`DockerfileError` with a span, or :class:`UsageError` for the target."""
    check_build_args(inputs.build_args)
    groups = _stages(dockerfile)
    target = _target(groups, inputs.target)
    globals_ = expand_globals(dockerfile, source, inputs)
    stages: list[StageOutline] = []
    named: dict[str, list[int]] = {}
    froms = _Froms(inputs, globals_, Expander(dockerfile.escape), {})
    for number, (from_, instructions) in enumerate(groups):
        try:
            stages.append(froms.stage(number, from_, instructions))
        except DockerfileError as error:
            raise error.at(from_.written.span, source) from None
        if from_.name:
            named.setdefault(from_.name, []).append(number)
            froms.latest[from_.name] = stages[-1]
    numbers = {name: tuple(each) for name, each in named.items()}
    result = Outline(source, dockerfile.escape, globals_, tuple(stages), target=target, contexts=inputs.contexts, named=numbers)
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
    for number in range(len(groups) - 1, -1, -1):
        if groups[number][0].name == wanted.lower():
            return number
    names = [from_.name for from_, _ in groups if from_.name]
    raise UsageError(
        f"target stage {wanted!r} could not be found{did_you_mean(wanted, names)}",
        hint=f"the stages with a name are: {', '.join(names)}" if names else "no stage has a name (FROM … AS name)",
    )


@fast_dataclass(frozen=True, slots=True)
class _Froms:
    """What the FROM lines mean. ``latest`` are the stages so far, by name."""

    inputs: PlanInputs
    globals_: Globals
    expander: Expander
    latest: dict[str, StageOutline]

    def stage(self, number: int, from_: ast.From, instructions: tuple[ast.Instruction, ...]) -> StageOutline:
        """Raises :class:`DockerfileError` without a span."""
        if from_.name and context_name(from_.name) in self.inputs.contexts:
            replaced = StageOutline(
                number, from_, ScratchBase(), from_.name, platform=self.inputs.platform, platform_given=False,
                instructions=(), replaced=True,
            )  # fmt: skip
            return self._on_context(replaced)
        image = expand_from(from_, self.globals_.scope, self.expander)
        name = image.image.text
        if not name:
            unset = f" (${image.image.missing[0]} has no value)" if image.image.missing else ""
            raise DockerfileError(
                f"base name ({from_.image}) should not be blank{unset}",
                hint="declare it above the first FROM with ARG NAME=default, or set it with --build-arg NAME=value",
            )
        scratch = StageOutline(
            number, from_, ScratchBase(), name, platform=self.inputs.platform, platform_given=False, instructions=instructions
        )
        platform = self._platform(image.platform.text) if image.platform is not None else None
        stage = self.latest.get(name)
        if stage is not None:
            return replace(scratch, base=StageBase(stage.number), platform=stage.platform)
        given = replace(scratch, platform=platform or self.inputs.platform, platform_given=platform is not None)
        if context_name(name) in self.inputs.contexts:
            return self._on_context(given)
        if name == "scratch":
            return scratch
        return replace(given, base=ImageBase(_checked_reference(name), given.platform))

    def _platform(self, text: str) -> Platform:
        try:
            return parse_platform(text, host=self.inputs.host)
        except UsageError as cause:
            raise DockerfileError(f"failed to parse platform {text!r}: {cause.message}", hint=cause.hint) from cause

    def _on_context(self, stage: StageOutline) -> StageOutline:
        """The stage with a named context as its base: an image, or files that are copied to an empty root."""
        name = context_name(stage.base_text)
        found = _context_source(name, self.inputs.contexts, stage.platform)
        if isinstance(found, ScratchBase):
            return replace(stage, platform=self.inputs.platform, platform_given=False)
        if isinstance(found, ImageSource):
            return replace(stage, base=found.image)
        files = ast.Copy(stage.from_.written, ("/",), "/", flags=ast.CopyFlags(from_=name))
        return replace(stage, instructions=(files, *stage.instructions))


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
