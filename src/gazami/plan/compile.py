"""Expanded stages and base configs to a :class:`Plan`: what every instruction does, and the config after it.

:func:`compile_plan` is pure. When it meets an image whose config it was not given (ONBUILD triggers can name new ones) it
returns :class:`Missing`, and the caller resolves those and calls again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.heredoc import Heredoc
from gazami.dockerfile.mounts import Mount
from gazami.dockerfile.words import Overlong, TooLong
from gazami.errors import DockerfileError
from gazami.image.config import DEFAULT_PATH, ImageConfig, scratch_config
from gazami.plan import created_by
from gazami.plan.control_args import without_effect
from gazami.plan.expand import ExpandedInstruction, ExpandedStage, expand_stages
from gazami.plan.inputs import PlanInputs
from gazami.plan.metadata import apply, with_shell
from gazami.plan.outline import Outline, StageOutline
from gazami.plan.paths import destination, join
from gazami.plan.reached import ResolvedImage, reached
from gazami.plan.scope import proxy_env, unconsumed
from gazami.plan.steps import (
    ContextSource,
    CopyStep,
    FilesFrom,
    ImageBase,
    InlineFile,
    MetadataStep,
    Plan,
    PlanWarning,
    RunMount,
    RunStep,
    ScratchBase,
    StageBase,
    StagePlan,
    Step,
    StepCommon,
    WorkdirStep,
)
from gazami.values import fast_dataclass, field, replace


@fast_dataclass(frozen=True, slots=True)
class Missing:
    """Images to resolve before the plan can be made."""

    images: tuple[ImageBase, ...]


@fast_dataclass(frozen=True, slots=True)
class Compiled:
    """``stages`` are those of the plan as they were expanded, which the build checks read."""

    plan: Plan
    stages: tuple[ExpandedStage, ...]


def compile_plan(outline: Outline, inputs: PlanInputs, images: Mapping[ImageBase, ResolvedImage]) -> Compiled | Missing:
    """The plan, or what is still to be resolved. Raises :class:`DockerfileError` with a span."""
    needed, missing = reached(outline, images)
    if missing:
        return Missing(missing)
    stages = expand_stages(outline, inputs, images, needed)
    plans: dict[int, StagePlan] = {}
    for stage in stages:
        plans[stage.stage.number] = _StageCompiler(outline, inputs, plans, stage).run()
    *others, last = plans.values()
    declared = _declared_in(outline).union(outline.globals_.scope.declared, *(each.scope.args for each in stages))
    warnings = [
        PlanWarning(f"the build argument {name} is not used: no ARG declares it")
        for name in unconsumed(inputs.build_args, frozenset(declared | set(outline.globals_.scope.values)))
    ]
    warnings += without_effect(inputs.build_args)
    digests = tuple((image, found.digest) for image, found in images.items())
    plan = Plan((*others, _labelled(last, inputs.labels)), outline.target, images=digests, warnings=tuple(warnings))
    return Compiled(plan, stages)


def _declared_in(outline: Outline) -> set[str]:
    return {name for stage in outline.stages for each in stage.instructions if isinstance(each, ast.Arg) for name, _ in each.pairs}


def _labelled(stage: StagePlan, labels: tuple[tuple[str, str], ...]) -> StagePlan:
    """``--label`` wins over LABEL, on the final image only."""
    if not labels:
        return stage

    config = stage.final_config.with_labels(labels)
    if not stage.steps:
        return replace(stage, config=config)
    last = stage.steps[-1]
    common = replace(last.common, config=config)
    return replace(stage, steps=(*stage.steps[:-1], replace(last, common=common)))


@fast_dataclass(slots=True)
class _StageCompiler:
    """``config`` is the image's after the last instruction. ``cmd_set``: a CMD stands in the stage so far."""

    outline: Outline
    inputs: PlanInputs
    before: Mapping[int, StagePlan]
    expanded: ExpandedStage
    config: ImageConfig = field(init=False)
    cmd_set: bool = False

    @property
    def stage(self) -> StageOutline:
        return self.expanded.stage

    def run(self) -> StagePlan:
        self.config = start = self._start()
        steps: list[Step] = []
        for position, each in enumerate(self.expanded.instructions):
            if each.error is not None:
                raise each.error
            try:
                step = self._step(each, len(steps) + 1, onbuild=position < self.expanded.triggers)
            except DockerfileError as error:
                raise error.at(each.given.written.span, self.outline.source) from None
            steps.append(step)
        number, base, span = self.stage.number, self.stage.base, self.stage.from_.written.span
        name, base_text = self.stage.name or str(number), self.stage.base_text
        return StagePlan(number, name, base, start, steps=tuple(steps), span=span, base_text=base_text)

    def _start(self) -> ImageConfig:
        match self.stage.base:
            case ScratchBase():
                config = scratch_config(self.inputs.platform)
            case ImageBase():
                assert self.expanded.config is not None
                config = self.expanded.config
            case StageBase(number):
                config = self.before[number].final_config
        if self.stage.platform_given:
            config = replace(config, platform=self.stage.platform)
        if not any(key == "PATH" for key, _ in config.env):
            config = config.with_env("PATH", DEFAULT_PATH)
        return replace(config, onbuild=(), working_dir=config.working_dir or "/", created=None)

    def _step(self, each: ExpandedInstruction, number: int, *, onbuild: bool) -> Step:
        match each.instruction:
            case ast.Run() as instruction:
                return self._run(instruction, each, number, onbuild)
            case ast.Copy() | ast.Add() as instruction:
                return self._copy(instruction, number, onbuild)
            case ast.Workdir() as instruction:
                return self._workdir(instruction, number, onbuild)
            case ast.Arg() as instruction:
                text = created_by.pairs("ARG", instruction.pairs)
                return MetadataStep(self._common(instruction, number, onbuild, text))
            case ast.From():
                raise AssertionError("FROM starts a stage")
            case instruction:
                self.config, shown = apply(instruction, self.config, cmd_set=self.cmd_set)
                self.cmd_set = self.cmd_set or isinstance(instruction, ast.Cmd)
                return MetadataStep(self._common(instruction, number, onbuild, shown))

    def _common(self, instruction: ast.Instruction, number: int, onbuild: bool, text: str | None) -> StepCommon:
        written, source = instruction.written, self.outline.source
        shown, keyword = ("ONBUILD " if onbuild else "") + written.text, written.keyword.upper()
        return StepCommon(number, shown, written.span, source, config=self.config, created_by=text, keyword=keyword)

    def _workdir(self, instruction: ast.Workdir, number: int, onbuild: bool) -> Step:
        path = instruction.path
        if not path:
            raise DockerfileError("WORKDIR is empty once its variables are expanded")
        path = path if path.startswith("/") else join(self.config.working_dir, path)
        self.config = replace(self.config, working_dir=path)
        common = self._common(instruction, number, onbuild, f"WORKDIR {path}")
        if path == "/":
            return MetadataStep(common)
        return WorkdirStep(common, join("/", path), self.config.user)

    def _run(self, instruction: ast.Run, each: ExpandedInstruction, number: int, onbuild: bool) -> Step:
        if instruction.flags.security == "insecure":
            raise DockerfileError("RUN --security=insecure is not supported: gazami runs no privileged steps")
        if instruction.flags.devices:
            raise DockerfileError("RUN --device is not supported")
        argv, script = self._command(instruction.command)
        env = dict(each.scope.env)
        env.setdefault("PATH", DEFAULT_PATH)
        if overlong := [name for name, value in env.items() if isinstance(value, Overlong)]:
            raise TooLong(f"the value of {overlong[0]} is longer than Linux allows for one variable (128 KiB)")
        variables = tuple({**dict(proxy_env(self.inputs.build_args)), **env}.items())
        text = created_by.run(argv, tuple(each.scope.args.items()), each.scope.env)
        common, cwd = self._common(instruction, number, onbuild, text), join("/", self.config.working_dir)
        mounts, network = tuple(map(self._mount, each.mounts)), instruction.flags.network or "default"
        user = self.config.user
        return RunStep(common, argv, variables, cwd, user=user, mounts=mounts, network=network, script=script)

    def _command(self, command: ast.CommandLine) -> tuple[tuple[str, ...], InlineFile | None]:
        """The argument vector, and the file when a lone here-document with a ``#!`` line is the command."""
        docs = command.heredocs
        if not docs:
            return with_shell(command, self.config), None
        if len(docs) == 1 and _is_lone(command.words[0], docs[0]):
            body = docs[0].text
            if body.startswith("#!"):
                path = f"/dev/pipes/{docs[0].name}"
                return with_shell(ast.CommandLine((path,), shell=True), self.config), InlineFile(path, body)
            return with_shell(ast.CommandLine((body,), shell=True), self.config), None
        text = command.words[0] + "".join(f"\n{doc.body}{doc.name}" for doc in docs)
        return with_shell(ast.CommandLine((text,), shell=True), self.config), None

    def _mount(self, mount: Mount) -> RunMount:
        files: FilesFrom | None = None
        if mount.from_:
            files = self.outline.named_source(mount.from_, self.stage)
        elif mount.type == "bind":
            files = ContextSource()
        target = join(self.config.working_dir, mount.target) if mount.target else ""
        if target == "/":
            raise DockerfileError("invalid mount target: it cannot be the root directory")
        return RunMount(replace(mount, target=target), files)

    def _copy(self, instruction: ast.Copy | ast.Add, number: int, onbuild: bool) -> Step:
        flags, add = instruction.flags, isinstance(instruction, ast.Add)
        _check_chmod(flags.chmod)
        inline = tuple(InlineFile(doc.name, doc.text) for doc in instruction.heredocs)
        common = self._common(instruction, number, onbuild, created_by.copy(instruction))
        files = self.outline.copy_source(flags.from_, self.stage)
        dest = destination(self.config.working_dir, instruction.dest)
        return CopyStep(common, files, instruction.sources, dest, inline=inline, flags=flags, add=add)


def _is_lone(text: str, doc: Heredoc) -> bool:
    """Whether the command line is nothing but the here-document's word."""
    word = re.sub(r"\A(<<-?)\s+", r"\1", text.strip())
    return word.startswith("<<") and doc.descriptor == 0 and not any(char.isspace() for char in word.replace(doc.name, ""))


def _check_chmod(text: str) -> None:
    if text and text[0].isdigit():
        try:
            valid = 0 <= int(text, 8) <= 0o7777
        except ValueError:
            valid = False
        if not valid:
            raise DockerfileError(f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")
