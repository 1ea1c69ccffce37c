"""Which variables a Dockerfile reads, where, and which of them exist there: for checks and for ``--call=outline``.

Unlike :mod:`gazami.plan.compile` this walks every stage and needs no base image. Of a base whose config is not given, nobody
can tell what its variables are: such a stage, and those built from it, are not ``certain``. A mistake in an instruction is
kept beside it and does not end the walk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Literal

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.mounts import Mount, parse_mount
from gazami.dockerfile.words import Expander, Expansion, expand
from gazami.errors import DockerfileError
from gazami.image.config import DEFAULT_PATH, ImageConfig
from gazami.plan.compile import ResolvedImage, triggers
from gazami.plan.outline import Inputs, Outline, StageOutline
from gazami.plan.scope import GlobalScope, StageScope, predefined
from gazami.plan.steps import ImageBase, ScratchBase, StageBase
from gazami.plan.versions import Versions
from gazami.values import dataclass, field, replace

Part = Literal["text", "source", "port"]


class Lookups(Mapping[str, str]):
    """Variables that remember which names were asked for, in whatever form (``$x``, ``${x:-y}``, ``${x#y}``)."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.found: dict[str, None] = {}
        self.missing: dict[str, None] = {}

    def __getitem__(self, name: str) -> str:
        if name in self._values:
            self.found[name] = None
            return self._values[name]
        self.missing[name] = None
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True, slots=True)
class Read:
    """One text with its variables expanded. ``missing`` are the names that have no value; in a stage without those that an
    ARG declares."""

    text: str
    words: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    part: Part = "text"


@dataclass(frozen=True, slots=True)
class InstructionRead:
    """``scope`` is what the instruction sees; ``reads`` are its texts in order, as far as ``error`` let them be read."""

    instruction: ast.Instruction
    scope: StageScope
    reads: tuple[Read, ...]
    mounts: tuple[Mount, ...] = ()
    error: DockerfileError | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The names without repetitions. BuildKit does not look at EXPOSE."""
        return tuple(dict.fromkeys(name for read in self.reads if read.part != "port" for name in read.missing))


@dataclass(frozen=True, slots=True)
class StageRead:
    """``config`` is the base image's where it is known, ``parent`` the stage that this one is built from. ``has_shell``: a SHELL
    holds at its start; ``sets_workdir``: there is a WORKDIR in it or in those that it is built from."""

    stage: StageOutline
    parent: StageRead | None
    config: ImageConfig | None
    certain: bool
    instructions: tuple[InstructionRead, ...]
    scope: StageScope
    has_shell: bool = False
    sets_workdir: bool = False


@dataclass(frozen=True, slots=True)
class FromRead:
    from_: ast.From
    image: Read
    platform: Read | None


@dataclass(frozen=True, slots=True)
class GlobalArg:
    """A declaration before the first FROM. ``uses`` are the names in its default, through earlier ones of its name too."""

    place: ast.Written
    value: str | None
    uses: frozenset[str]


@dataclass(frozen=True, slots=True)
class Globals:
    """The scope of FROM, and by name the last declaration that the file has."""

    scope: GlobalScope
    args: Mapping[str, GlobalArg]


# -- before and in FROM ---------------------------------------------------------------------------------------------------


def read_globals(dockerfile: ast.Dockerfile, inputs: Inputs, *, with_build_args: bool = True) -> Globals:
    """The global scope. ``with_build_args=False`` gives the file's own defaults. Raises :class:`DockerfileError`."""
    froms = [each for each in dockerfile.instructions if isinstance(each, ast.From)]
    seeds = predefined(inputs.host, inputs.platform, inputs.target or froms[-1].name)
    scope = GlobalScope(Versions({name: inputs.build_args.get(name, value) for name, value in seeds.items()}))
    build_args = inputs.build_args if with_build_args else {}
    expander = Expander(dockerfile.escape)
    args: dict[str, GlobalArg] = {}
    for instruction in dockerfile.instructions[: dockerfile.instructions.index(froms[0])]:
        if not isinstance(instruction, ast.Arg):
            continue
        for name, default in instruction.pairs:
            values = Lookups(scope.values)
            if default is not None and name not in build_args:
                expander.expand(default, values)
            uses = frozenset(values.found)
            if name in uses and name in args:
                uses |= args[name].uses
            scope = scope.declare(((name, default),), build_args, expander)
            args[name] = GlobalArg(instruction.written, scope.values.get(name), uses - {name})
    return Globals(scope, args)


def read_from(from_: ast.From, scope: GlobalScope, escape: str) -> FromRead:
    """A FROM line in the global scope. Raises :class:`DockerfileError` without a span."""

    def read(text: str) -> Read:
        values = Lookups(scope.values)
        expanded = expand(text, values, escape)
        return Read(expanded.text, expanded.words, tuple(values.found), tuple(values.missing))

    return FromRead(from_, read(from_.image), read(from_.platform) if from_.platform else None)


# -- in stages ------------------------------------------------------------------------------------------------------------


def read_stages(outline: Outline, inputs: Inputs, images: Mapping[ImageBase, ResolvedImage]) -> tuple[StageRead, ...]:
    """All stages, by index. Raises :class:`DockerfileError` for an ONBUILD trigger that cannot be read."""
    done: list[StageRead] = []
    expander = Expander(outline.escape)
    for stage in outline.stages:
        done.append(_stage(outline, inputs, images, stage, done, expander))
    return tuple(done)


def _stage(
    outline: Outline,
    inputs: Inputs,
    images: Mapping[ImageBase, ResolvedImage],
    stage: StageOutline,
    before: list[StageRead],
    expander: Expander,
) -> StageRead:
    parent: StageRead | None = None
    config: ImageConfig | None = None
    scope = StageScope(Versions({"PATH": DEFAULT_PATH}))
    match stage.base:
        case StageBase(index):
            parent = before[index]
            scope, certain = parent.scope, parent.certain
        case ScratchBase():
            certain = True
        case ImageBase():
            config = images[stage.base].config if stage.base in images else None
            certain = config is not None
            scope = scope.with_env(config.env if config else ())
    reads: list[InstructionRead] = []
    for instruction in (*triggers(outline, stage, images), *stage.instructions):
        reader = _Reader(scope, expander)
        try:
            after = reader.instruction(instruction, inputs, outline.globals_)
            error = None
        except DockerfileError as cause:
            after, error = scope, cause
            error.at(instruction.written.span, outline.source)
        reads.append(InstructionRead(instruction, scope, tuple(reader.reads), tuple(reader.mounts), error))
        scope = after
    shell = bool(config and config.shell)
    if parent is not None:
        shell = parent.has_shell or any(isinstance(each.instruction, ast.Shell) for each in parent.instructions)
    workdir = any(isinstance(each.instruction, ast.Workdir) for each in reads)
    return StageRead(
        stage, parent, config, certain, tuple(reads), scope, shell, workdir or bool(parent and parent.sets_workdir)
    )


@dataclass(slots=True)
class _Reader:
    """Reads one instruction in ``scope``; what it has read so far is there even when an error ends it."""

    scope: StageScope
    expander: Expander
    reads: list[Read] = field(default_factory=list)
    mounts: list[Mount] = field(default_factory=list)

    def instruction(self, instruction: ast.Instruction, inputs: Inputs, globals_: GlobalScope) -> StageScope:
        """The scope after the instruction. What is not expanded (commands, ``--from``, …) is not read."""
        match instruction:
            case ast.Arg():
                return self._arg(instruction, inputs, globals_)
            case ast.Env():
                return self.scope.with_env(
                    tuple((self._text(key), self._text(value)) for key, value in instruction.pairs)
                )
            case ast.Label():
                for text in (text for pair in instruction.pairs for text in pair):
                    self._text(text)
            case ast.Copy() | ast.Add():
                self._copy(instruction)
            case ast.Run():
                for mount in instruction.mounts:
                    self.mounts.append(parse_mount(mount, self._text))
            case ast.Workdir(_, text) | ast.User(_, text) | ast.StopSignal(_, text):
                self._text(text)
            case ast.Volume():
                for path in instruction.paths:
                    self._text(path)
            case ast.Expose():
                for port in instruction.ports:
                    self._text(port, "port")
            case _:
                pass
        return self.scope

    def _arg(self, instruction: ast.Arg, inputs: Inputs, globals_: GlobalScope) -> StageScope:
        """Each pair sees those before it."""
        for name, default in instruction.pairs:
            if default is not None and name not in inputs.build_args:
                self._text(default)
            self.scope = self.scope.declare(name, default, inputs.build_args, globals_, self.expander)
        return self.scope

    def _copy(self, instruction: ast.Copy | ast.Add) -> None:
        self._text(instruction.chown)
        self._text(instruction.chmod)
        if isinstance(instruction, ast.Add):
            self._text(instruction.checksum)
        for source in instruction.sources:
            self._text(source, "source")
        self._text(instruction.dest)
        for document in instruction.heredocs:
            if document.expand:
                self._read(partial(self.expander.expand_body, document.text), "text")

    def _text(self, text: str, part: Part = "text") -> str:
        return self._read(lambda values: self.expander.expand(text, values), part)

    def _read(self, expansion: Callable[[Mapping[str, str]], Expansion], part: Part) -> str:
        values = Lookups(self.scope.env)
        expanded: Expansion | None = None
        try:
            expanded = expansion(values)
        finally:
            missing = tuple(name for name in values.missing if name not in self.scope.args)
            read = Read("", (), tuple(values.found), missing, part)
            self.reads.append(replace(read, text=expanded.text, words=expanded.words) if expanded else read)
        return expanded.text
