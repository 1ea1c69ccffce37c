"""What stands above the stages: the ARGs before the first FROM, and the FROM lines that see them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.words import Expander
from gazami.errors import DockerfileError, Source
from gazami.plan.inputs import PlanInputs
from gazami.plan.recorder import Recorder, Text
from gazami.plan.scope import GlobalScope, predefined
from gazami.plan.versions import Versions
from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class ExpandedFrom:
    from_: ast.From
    image: Text
    platform: Text | None


@fast_dataclass(frozen=True, slots=True)
class GlobalArg:
    """A declaration. ``uses`` are the names in its default, through earlier ones of its name too."""

    written: ast.Written
    value: str | None
    uses: frozenset[str]


@fast_dataclass(frozen=True, slots=True)
class Globals:
    """The scope of FROM, and by name the last declaration that the file has."""

    scope: GlobalScope
    args: Mapping[str, GlobalArg]


def expand_globals(dockerfile: ast.Dockerfile, source: Source, inputs: PlanInputs, *, with_build_args: bool = True) -> Globals:
    """``with_build_args=False`` gives the file's own defaults. Raises :class:`DockerfileError` with a span."""
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
            value = build_args.get(name)
            if value is None and default is not None:
                try:
                    value = expander.default(default, values).text
                except DockerfileError as error:
                    raise error.at(instruction.written.span, source) from None
            uses = frozenset(values.found)
            if name in uses and name in args:
                uses |= args[name].uses
            scope = scope.declare(name, value)
            args[name] = GlobalArg(instruction.written, scope.values.get(name), uses - {name})
    return Globals(scope, args)


def expand_from(from_: ast.From, scope: GlobalScope, expander: Expander) -> ExpandedFrom:
    """A FROM line in the global scope. Raises :class:`DockerfileError` without a span."""

    def read(text: str) -> Text:
        values = Recorder(scope.values)
        expanded = expander.expand(text, values)
        return Text(expanded.text, expanded.words, tuple(values.found), tuple(values.missing))

    return ExpandedFrom(from_, read(from_.image), read(from_.platform) if from_.platform else None)
