"""Outline and base configs to a :class:`Plan`: ONBUILD spliced in, every word expanded, every config known.

:func:`compile_plan` is pure. When it meets an image whose config it was not given (ONBUILD triggers can name new ones) it
returns :class:`Missing`, and the caller resolves those and calls again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.heredoc import Heredoc
from gazami.dockerfile.mounts import parse_mount
from gazami.dockerfile.parser import parse_trigger
from gazami.dockerfile.words import Expander, Overlong, TooLong
from gazami.errors import DockerfileError
from gazami.image.config import DEFAULT_PATH, ImageConfig, scratch_config
from gazami.image.digest import Digest
from gazami.plan import created_by
from gazami.plan.control_args import without_effect
from gazami.plan.metadata import apply, with_shell
from gazami.plan.outline import Inputs, Outline, StageOutline
from gazami.plan.paths import destination, join
from gazami.plan.scope import StageScope, proxy_env, unconsumed
from gazami.plan.steps import (
    ContextSource,
    CopyStep,
    FilesFrom,
    ImageBase,
    ImageSource,
    InlineFile,
    MetadataStep,
    Plan,
    PlanWarning,
    RunMount,
    RunStep,
    ScratchBase,
    StageBase,
    StagePlan,
    StageSource,
    Step,
    StepCommon,
    WorkdirStep,
)
from gazami.plan.versions import Versions
from gazami.values import dataclass, field, replace

MAX_TRIGGERS = 1000
"""ONBUILD instructions of a base that a build carries out."""


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """What the plan needs to know of an image: its manifest's digest and its config."""

    digest: Digest
    config: ImageConfig


@dataclass(frozen=True, slots=True)
class Missing:
    """Images to resolve before the plan can be made."""

    images: tuple[ImageBase, ...]


def compile_plan(outline: Outline, inputs: Inputs, images: Mapping[ImageBase, ResolvedImage]) -> Plan | Missing:
    """The plan, or what is still to be resolved. Raises :class:`DockerfileError` with a span."""
    needed, missing = reached(outline, images)
    if missing:
        return Missing(missing)
    compiled: dict[int, _Compiled] = {}
    expander = Expander(outline.escape)
    for stage in outline.stages:
        if stage.index in needed:
            compiled[stage.index] = _StageCompiler(outline, inputs, images, compiled, stage, expander).run()
    plans = [compiled[index].plan for index in sorted(compiled)]
    plans[-1] = _labelled(plans[-1], inputs.labels)
    declared = frozenset(outline.globals_.declared).union(*(each.declared for each in compiled.values()))
    declared |= _declared_in(outline)
    warnings = [
        PlanWarning(f"the build argument {name} is not used: no ARG declares it")
        for name in unconsumed(inputs.build_args, frozenset(declared | set(outline.globals_.values)))
    ]
    warnings += without_effect(inputs.build_args)
    return Plan(
        tuple(plans), outline.target, tuple((image, found.digest) for image, found in images.items()), tuple(warnings)
    )


def reached(outline: Outline, images: Mapping[ImageBase, ResolvedImage]) -> tuple[set[int], tuple[ImageBase, ...]]:
    """The stages that the target reaches, and the images among their needs that are not resolved yet."""
    needed: set[int] = set()
    missing: dict[ImageBase, None] = {}
    queue = [outline.target]
    while queue:
        index = queue.pop()
        if index in needed:
            continue
        needed.add(index)
        stage = outline.stages[index]
        for need in outline.needs(stage, triggers(outline, stage, images)):
            match need:
                case StageBase(other) | StageSource(other):
                    queue.append(other)
                case ImageBase() if need not in images:
                    missing[need] = None
                case ImageSource(image) if image not in images:
                    missing[image] = None
    return needed, tuple(missing)


def triggers(
    outline: Outline, stage: StageOutline, images: Mapping[ImageBase, ResolvedImage]
) -> tuple[ast.Instruction, ...]:
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
                    hint="choose another base: this one would have every build of it do its work",
                    span=stage.from_.written.span,
                    source=outline.source,
                )
        case StageBase(index):
            instructions = outline.stages[index].instructions
            texts = tuple(each.trigger for each in instructions if isinstance(each, ast.Onbuild))
    try:
        found = tuple(parse_trigger(text) for text in texts)
    except DockerfileError as error:
        error.source = error.span = None
        raise error.at(stage.from_.written.span, outline.source) from None
    return tuple(replace(each, place=replace(each.written, span=stage.from_.written.span)) for each in found)


def _declared_in(outline: Outline) -> set[str]:
    return {
        name
        for stage in outline.stages
        for each in stage.instructions
        if isinstance(each, ast.Arg)
        for name, _ in each.pairs
    }


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


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A finished stage and what a stage built FROM it inherits."""

    plan: StagePlan
    scope: StageScope
    declared: frozenset[str]


@dataclass(slots=True)
class _StageCompiler:
    outline: Outline
    inputs: Inputs
    images: Mapping[ImageBase, ResolvedImage]
    compiled: Mapping[int, _Compiled]
    stage: StageOutline
    expander: Expander
    config: ImageConfig = field(init=False)
    scope: StageScope = field(init=False)
    cmd_set: bool = False

    def run(self) -> _Compiled:
        self.config, self.scope = self._start()
        start = self.config
        steps: list[Step] = []
        onbuild = triggers(self.outline, self.stage, self.images)
        for position, instruction in enumerate((*onbuild, *self.stage.instructions)):
            try:
                step = self._step(instruction, len(steps) + 1, onbuild=position < len(onbuild))
            except DockerfileError as error:
                raise error.at(instruction.written.span, self.outline.source) from None
            steps.append(step)
        plan = StagePlan(
            self.stage.index,
            self.stage.name or str(self.stage.index),
            self.stage.base,
            start,
            tuple(steps),
            self.stage.from_.written.span,
            self.stage.base_text,
        )
        return _Compiled(plan, self.scope, frozenset(self.scope.args))

    def _start(self) -> tuple[ImageConfig, StageScope]:
        inherited: StageScope | None = None
        match self.stage.base:
            case ScratchBase():
                config = scratch_config(self.inputs.platform)
            case ImageBase():
                config = self.images[self.stage.base].config
            case StageBase(index):
                config = self.compiled[index].plan.final_config
                inherited = self.compiled[index].scope
        if self.stage.platform_given:
            config = replace(config, platform=self.stage.platform)
        if not any(key == "PATH" for key, _ in config.env):
            config = config.with_env("PATH", DEFAULT_PATH)
        config = replace(config, onbuild=(), working_dir=config.working_dir or "/", created=None)
        if inherited is None:
            return config, StageScope(Versions(config.env))
        return config, inherited.with_env(config.env)  # an ARG hides an ENV in its own stage only

    # -- expansion ------------------------------------------------------------------------------------------------

    def _text(self, text: str) -> str:
        return self.expander.expand(text, self.scope.env).text

    def _words(self, text: str) -> tuple[str, ...]:
        return self.expander.expand(text, self.scope.env).words

    # -- instructions ---------------------------------------------------------------------------------------------

    def _step(self, instruction: ast.Instruction, number: int, *, onbuild: bool) -> Step:
        match instruction:
            case ast.Run():
                return self._run(instruction, number, onbuild)
            case ast.Copy() | ast.Add():
                return self._copy(instruction, number, onbuild)
            case ast.Workdir():
                return self._workdir(instruction, number, onbuild)
            case ast.Arg():
                return MetadataStep(self._common(instruction, number, onbuild, self._arg(instruction)))
            case ast.From():
                raise AssertionError("FROM starts a stage")
            case _:
                applied = apply(instruction, self.config, self._text, self._words, cmd_set=self.cmd_set)
                self.config = applied.config
                self.scope = self.scope.with_env(applied.env)
                self.cmd_set = self.cmd_set or isinstance(instruction, ast.Cmd)
                return MetadataStep(self._common(instruction, number, onbuild, applied.created_by))

    def _common(self, instruction: ast.Instruction, number: int, onbuild: bool, text: str | None) -> StepCommon:
        place = instruction.written
        shown = ("ONBUILD " if onbuild else "") + place.text
        return StepCommon(number, shown, place.span, self.outline.source, self.config, text, place.keyword.upper())

    def _arg(self, instruction: ast.Arg) -> str:
        shown: list[tuple[str, str | None]] = []
        for name, default in instruction.pairs:
            self.scope = self.scope.declare(name, default, self.inputs.build_args, self.outline.globals_, self.expander)
            shown.append((name, self.scope.args[name]))
        return created_by.pairs("ARG", tuple(shown))

    def _workdir(self, instruction: ast.Workdir, number: int, onbuild: bool) -> Step:
        written = self._text(instruction.path)
        if not written:
            raise DockerfileError("WORKDIR is empty once its variables are expanded")
        path = written if written.startswith("/") else join(self.config.working_dir, written)
        self.config = replace(self.config, working_dir=path)
        common = self._common(instruction, number, onbuild, f"WORKDIR {path}")
        if path == "/":
            return MetadataStep(common)
        return WorkdirStep(common, join("/", path), self.config.user)

    def _run(self, instruction: ast.Run, number: int, onbuild: bool) -> Step:
        if instruction.security == "insecure":
            raise DockerfileError("RUN --security=insecure is not supported: gazami has no privileges to give")
        if instruction.devices:
            raise DockerfileError("RUN --device is not supported")
        argv, script = self._command(instruction.command)
        env = dict(self.scope.env)
        env.setdefault("PATH", DEFAULT_PATH)
        if overlong := [name for name, value in env.items() if isinstance(value, Overlong)]:
            raise TooLong(f"the value of {overlong[0]} is longer than Linux takes as one variable (128 KiB)")
        proxies = dict(proxy_env(self.inputs.build_args))
        text = created_by.run(argv, tuple(self.scope.args.items()), self.scope.env)
        mounts = tuple(self._mount(value) for value in instruction.mounts)
        return RunStep(
            self._common(instruction, number, onbuild, text),
            argv,
            tuple({**proxies, **env}.items()),
            join("/", self.config.working_dir),
            self.config.user,
            mounts,
            instruction.network or "default",
            script,
        )

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

    def _mount(self, text: str) -> RunMount:
        mount = parse_mount(text, self._text)
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
        sources = tuple(self._text(source) for source in instruction.sources)
        dest = self._text(instruction.dest)
        chown, chmod = self._text(instruction.chown), self._text(instruction.chmod)
        _check_chmod(chmod)
        inline = tuple(self._inline(doc) for doc in instruction.heredocs)
        add = isinstance(instruction, ast.Add)
        keyword = "ADD" if add else "COPY"
        parents = isinstance(instruction, ast.Copy) and instruction.parents
        names = tuple(doc.name for doc in inline)
        text = created_by.copy(keyword, sources, names, dest, chown=chown, chmod=chmod, parents=parents)
        from_ = instruction.from_ if isinstance(instruction, ast.Copy) else ""
        step = CopyStep(
            self._common(instruction, number, onbuild, text),
            self.outline.copy_source(from_, self.stage),
            sources,
            destination(self.config.working_dir, dest),
            inline,
            chown,
            chmod,
            instruction.link,
            parents,
            instruction.exclude,
            add,
        )
        if isinstance(instruction, ast.Add):
            return replace(
                step,
                checksum=self._text(instruction.checksum),
                keep_git_dir=instruction.keep_git_dir,
                unpack=instruction.unpack,
            )
        return step

    def _inline(self, doc: Heredoc) -> InlineFile:
        body = self.expander.expand_body(doc.text, self.scope.env).text if doc.expand else doc.text
        return InlineFile(doc.name, body)


def _is_lone(text: str, doc: Heredoc) -> bool:
    """Whether the command line is nothing but the here-document's word."""
    word = re.sub(r"\A(<<-?)\s+", r"\1", text.strip())
    return (
        word.startswith("<<") and doc.descriptor == 0 and not any(char.isspace() for char in word.replace(doc.name, ""))
    )


def _check_chmod(text: str) -> None:
    if text and text[0].isdigit():
        try:
            valid = 0 <= int(text, 8) <= 0o7777
        except ValueError:
            valid = False
        if not valid:
            raise DockerfileError(
                f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
            )
