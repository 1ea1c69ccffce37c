"""The texts of a Dockerfile with their variables expanded: the only module that knows which texts are.

A stage is read from its base on. Every instruction sees the scope that those before it leave, and becomes the same instruction
with its words expanded. :mod:`gazami.plan.compile` makes steps of it; the checks and ``--call=outline`` ask which variables a
text reads and which of them exist.

No base image is needed. The variables of a base whose config is not given are unknown: such a stage, and those built from it, are
not ``certain``. A mistake in an instruction is kept beside it and does not end the reading. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.flags import flags_of
from gazami.dockerfile.heredoc import Heredoc
from gazami.dockerfile.mounts import Mount, parse_mount
from gazami.dockerfile.words import Expander, Expansion
from gazami.errors import DockerfileError
from gazami.image.config import DEFAULT_PATH, ImageConfig
from gazami.plan.inputs import PlanInputs
from gazami.plan.outline import Outline, StageOutline
from gazami.plan.reached import ResolvedImage, triggers
from gazami.plan.recorder import Part, Recorder, Text
from gazami.plan.scope import GlobalScope, StageScope
from gazami.plan.steps import ImageBase, StageBase
from gazami.plan.versions import Versions
from gazami.values import fast_dataclass, field, replace


@fast_dataclass(frozen=True, slots=True)
class ExpandedInstruction:
    """``instruction`` has its words expanded; it is as ``given`` where there is an ``error``. ``scope`` is what it sees; ``texts``
    are in order, up to ``error``. ``mounts`` are those of RUN."""

    given: ast.Instruction
    instruction: ast.Instruction
    scope: StageScope
    texts: tuple[Text, ...]
    mounts: tuple[Mount, ...] = ()
    error: DockerfileError | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The names without repetitions. BuildKit does not look at EXPOSE."""
        return tuple(dict.fromkeys(name for text in self.texts if text.part != "port" for name in text.missing))


@fast_dataclass(frozen=True, slots=True)
class ExpandedStage:
    """``config`` is the base image's where it is known, ``parent`` the stage that this one is built from. The first ``triggers`` of
    the instructions are ONBUILD's; ``scope`` is what all leave. ``has_shell``: a SHELL holds at the start; ``sets_workdir``: there
    is a WORKDIR in the stage or in those that it is built from."""

    stage: StageOutline
    parent: ExpandedStage | None
    config: ImageConfig | None
    certain: bool
    triggers: int
    instructions: tuple[ExpandedInstruction, ...]
    scope: StageScope
    has_shell: bool = False
    sets_workdir: bool = False


def expand_stages(
    outline: Outline, inputs: PlanInputs, images: Mapping[ImageBase, ResolvedImage], wanted: Iterable[int]
) -> tuple[ExpandedStage, ...]:
    """The wanted stages and those that they are built from, in the order of the file.

    Raises :class:`DockerfileError` for an ONBUILD trigger that cannot be read."""
    numbers = set(wanted)
    for stage in reversed(outline.stages):
        if stage.number in numbers and isinstance(stage.base, StageBase):
            numbers.add(stage.base.number)
    done: dict[int, ExpandedStage] = {}
    expander = Expander(outline.escape)
    for stage in outline.stages:
        if stage.number in numbers:
            parent = done[stage.base.number] if isinstance(stage.base, StageBase) else None
            config = images[stage.base].config if isinstance(stage.base, ImageBase) and stage.base in images else None
            onbuild = triggers(outline, stage, images)
            done[stage.number] = _stage(outline, inputs, stage, expander, onbuild=onbuild, parent=parent, config=config)
    return tuple(done.values())


def _stage(
    outline: Outline,
    inputs: PlanInputs,
    stage: StageOutline,
    expander: Expander,
    *,
    onbuild: tuple[ast.Instruction, ...],
    parent: ExpandedStage | None,
    config: ImageConfig | None,
) -> ExpandedStage:
    scope = parent.scope.inherited() if parent is not None else _start(config)
    certain = parent.certain if parent is not None else config is not None or not isinstance(stage.base, ImageBase)
    read: list[ExpandedInstruction] = []
    for instruction in (*onbuild, *stage.instructions):
        reader = _Reader(scope, expander)
        try:
            expanded, after = reader.instruction(instruction, inputs.build_args, outline.globals_.scope)
            error = None
        except DockerfileError as cause:
            expanded, after, error = instruction, scope, cause
            error.at(instruction.written.span, outline.source)
        texts, mounts = tuple(reader.texts), tuple(reader.mounts)
        read.append(ExpandedInstruction(instruction, expanded, scope, texts, mounts=mounts, error=error))
        scope = after
    shell = bool(config and config.shell)
    if parent is not None:
        shell = parent.has_shell or any(isinstance(each.given, ast.Shell) for each in parent.instructions)
    workdir = any(isinstance(each.given, ast.Workdir) for each in read) or bool(parent and parent.sets_workdir)
    return ExpandedStage(
        stage, parent, config, certain,
        triggers=len(onbuild), instructions=tuple(read), scope=scope, has_shell=shell, sets_workdir=workdir,
    )  # fmt: skip


def _start(config: ImageConfig | None) -> StageScope:
    """What a base image or ``scratch`` defines."""
    env = dict(config.env if config is not None else ())
    env.setdefault("PATH", DEFAULT_PATH)
    return StageScope(Versions(env), Versions(env))


@fast_dataclass(slots=True)
class _Reader:
    """Expands one instruction in ``scope``; what it has read so far is there even when an error ends it."""

    scope: StageScope
    expander: Expander
    texts: list[Text] = field(default_factory=list)
    mounts: list[Mount] = field(default_factory=list)

    def instruction(
        self, given: ast.Instruction, build_args: Mapping[str, str], globals_: GlobalScope
    ) -> tuple[ast.Instruction, StageScope]:
        """The instruction with its words expanded, and the scope after it. Commands and health checks are not expanded."""
        match given:
            case ast.Arg():
                return self._arg(given, build_args, globals_)
            case ast.Env():
                pairs = self._pairs(given.pairs)
                return replace(given, pairs=pairs), self.scope.with_env(pairs)
            case ast.Label():
                return replace(given, pairs=self._pairs(given.pairs)), self.scope
            case ast.Copy() | ast.Add():
                return self._copy(given), self.scope
            case ast.Run():
                for mount in given.flags.mounts:
                    self.mounts.append(parse_mount(mount, self._text))
            case ast.Workdir():
                return replace(given, path=self._text(given.path)), self.scope
            case ast.User():
                return replace(given, user=self._text(given.user)), self.scope
            case ast.StopSignal():
                return replace(given, signal=self._text(given.signal)), self.scope
            case ast.Volume():
                return replace(given, paths=tuple(self._text(path) for path in given.paths)), self.scope
            case ast.Expose():
                ports = (word for port in given.ports for word in self._read(port, "port").words)
                return replace(given, ports=tuple(ports)), self.scope
            case _:
                pass
        return given, self.scope

    def _arg(self, given: ast.Arg, build_args: Mapping[str, str], globals_: GlobalScope) -> tuple[ast.Arg, StageScope]:
        """Each pair sees those before it. Its value is the build argument, else the default, else the global one's."""
        pairs: list[tuple[str, str | None]] = []
        for name, default in given.pairs:
            if name in build_args:
                value: str | None = build_args[name]
            elif default is not None:
                value = self._recorded(partial(self.expander.default, default), "text").text
            else:
                value = globals_.values.get(name)
            self.scope = self.scope.with_arg(name, value)
            pairs.append((name, value))
        return replace(given, pairs=tuple(pairs)), self.scope

    def _pairs(self, pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        return tuple((self._text(key), self._text(value)) for key, value in pairs)

    def _copy(self, given: ast.Copy | ast.Add) -> ast.Copy | ast.Add:
        rows = [row.name for row in flags_of(ast.CopyFlags) if row.expanded]
        values: dict[str, Any] = {name: self._text(getattr(given.flags, name)) for name in rows}
        return replace(
            given,
            flags=replace(given.flags, **values),
            sources=tuple(self._text(source, "source") for source in given.sources),
            dest=self._text(given.dest),
            heredocs=tuple(self._document(each) for each in given.heredocs),
        )

    def _document(self, given: Heredoc) -> Heredoc:
        """A here-document that becomes a file: its body is the file's text."""
        expansion = partial(self.expander.expand_body, given.text)
        body = self._recorded(expansion, "text").text if given.expand else given.text
        return replace(given, body=body, chomp=False)

    def _text(self, text: str, part: Part = "text") -> str:
        return self._read(text, part).text

    def _read(self, text: str, part: Part) -> Expansion:
        return self._recorded(partial(self.expander.expand, text), part)

    def _recorded(self, expansion: Callable[[Mapping[str, str]], Expansion], part: Part) -> Expansion:
        values = Recorder(self.scope.env)
        expanded: Expansion | None = None
        try:
            expanded = expansion(values)
        finally:
            missing = tuple(name for name in values.missing if name not in self.scope.args)
            text, words = (expanded.text, expanded.words) if expanded else ("", ())
            self.texts.append(Text(text, words, found=tuple(values.found), missing=missing, part=part))
        return expanded
