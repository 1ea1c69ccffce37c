"""The texts of a Dockerfile with their variables expanded: the only module that knows which texts are.

A stage is read from its base on. Every instruction sees the scope that those before it leave, and becomes the same instruction
with its words expanded. :mod:`gazami.plan.compile` makes steps of it; the checks and ``--call=outline`` ask which variables a
text reads and which of them exist.

No base image is needed. Of a base whose config is not given, nobody can tell what its variables are: such a stage, and those built
from it, are not ``certain``. A mistake in an instruction is kept beside it and does not end the reading. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.flags import flags_of
from gazami.dockerfile.mounts import Mount, parse_mount
from gazami.dockerfile.words import Expander, Expansion, expand
from gazami.errors import DockerfileError
from gazami.image.config import DEFAULT_PATH, ImageConfig
from gazami.plan.onbuild import ResolvedImage, triggers
from gazami.plan.outline import Outline, PlanInputs, StageOutline
from gazami.plan.scope import GlobalScope, StageScope, predefined
from gazami.plan.steps import ImageBase, ScratchBase, StageBase
from gazami.plan.versions import Versions
from gazami.values import dataclass, field, replace

Part = Literal["text", "source", "port"]


class Recorder(Mapping[str, str]):
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
class Text:
    """One text, expanded. ``missing`` are the names that have no value; in a stage without those that an ARG declares."""

    text: str
    words: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    part: Part = "text"


@dataclass(frozen=True, slots=True)
class ExpandedInstruction:
    """``instruction`` has its words expanded, those that ``error`` kept from it excepted. ``scope`` is what it sees; ``texts`` are
    in order, as far as ``error`` let them be read. ``mounts`` are those of RUN."""

    instruction: ast.Instruction
    scope: StageScope
    texts: tuple[Text, ...]
    mounts: tuple[Mount, ...] = ()
    error: DockerfileError | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The names without repetitions. BuildKit does not look at EXPOSE."""
        return tuple(dict.fromkeys(name for text in self.texts if text.part != "port" for name in text.missing))


@dataclass(frozen=True, slots=True)
class ExpandedStage:
    """``config`` is the base image's where it is known, ``parent`` the stage that this one is built from. The first ``triggers`` of
    the instructions are ONBUILD's. ``has_shell``: a SHELL holds at its start; ``sets_workdir``: there is a WORKDIR in it or in those
    that it is built from. ``scope`` is what its instructions leave."""

    stage: StageOutline
    parent: ExpandedStage | None
    config: ImageConfig | None
    certain: bool
    triggers: int
    instructions: tuple[ExpandedInstruction, ...]
    scope: StageScope
    has_shell: bool = False
    sets_workdir: bool = False


@dataclass(frozen=True, slots=True)
class ExpandedFrom:
    from_: ast.From
    image: Text
    platform: Text | None


@dataclass(frozen=True, slots=True)
class GlobalArg:
    """A declaration before the first FROM. ``uses`` are the names in its default, through earlier ones of its name too."""

    written: ast.Written
    value: str | None
    uses: frozenset[str]


@dataclass(frozen=True, slots=True)
class Globals:
    """The scope of FROM, and by name the last declaration that the file has."""

    scope: GlobalScope
    args: Mapping[str, GlobalArg]


# -- before and in FROM ---------------------------------------------------------------------------------------------------


def expand_globals(dockerfile: ast.Dockerfile, inputs: PlanInputs, *, with_build_args: bool = True) -> Globals:
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
            values = Recorder(scope.values)
            if default is not None and name not in build_args:
                expander.expand(default, values)
            uses = frozenset(values.found)
            if name in uses and name in args:
                uses |= args[name].uses
            scope = scope.declare(((name, default),), build_args, expander)
            args[name] = GlobalArg(instruction.written, scope.values.get(name), uses - {name})
    return Globals(scope, args)
