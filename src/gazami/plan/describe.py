"""What a Dockerfile offers: its targets, and the arguments, secrets and agents that a target uses.

The values of ``--call=targets`` and ``--call=outline``. Nothing is resolved: what base images would add is not there.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.mounts import Mount
from gazami.dockerfile.words import Expander
from gazami.errors import Source, Span
from gazami.plan.expand import ExpandedStage, expand_stages
from gazami.plan.global_args import Globals, expand_from
from gazami.plan.inputs import PlanInputs
from gazami.plan.outline import Outline, outline
from gazami.plan.steps import StageBase, StageSource
from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class Target:
    """A stage. ``base`` and ``platform`` are as written."""

    name: str
    default: bool
    description: str
    base: str
    platform: str
    span: Span


@fast_dataclass(frozen=True, slots=True)
class ArgUse:
    """``value`` None is unset."""

    name: str
    value: str | None
    description: str
    span: Span


@fast_dataclass(frozen=True, slots=True)
class MountUse:
    """A secret or an agent that some RUN asks for, by id."""

    name: str
    required: bool
    span: Span


@fast_dataclass(frozen=True, slots=True)
class TargetOutline:
    """``name`` is empty for a stage without one."""

    name: str
    description: str
    args: tuple[ArgUse, ...]
    secrets: tuple[MountUse, ...]
    ssh: tuple[MountUse, ...]


def describe_targets(dockerfile: ast.Dockerfile) -> tuple[Target, ...]:
    froms = [each for each in dockerfile.instructions if isinstance(each, ast.From)]

    def target(each: ast.From) -> Target:
        about, default = _description(each.written, each.name), each is froms[-1]
        return Target(each.name, default, about, each.image, platform=each.platform, span=each.written.span)

    return tuple(map(target, froms))


def describe_target(dockerfile: ast.Dockerfile, source: Source, inputs: PlanInputs) -> TargetOutline:
    """What the target and the stages that it needs use, by line. Raises :class:`DockerfileError`, :class:`UsageError`."""
    outlined = outline(dockerfile, source, inputs)
    needed = _needed(outlined, outlined.target, {})
    stages = {each.stage.number: each for each in expand_stages(outlined, inputs, {}, needed)}
    args: dict[str, ArgUse] = {}
    secrets: dict[str, MountUse] = {}
    ssh: dict[str, MountUse] = {}
    for number in needed:
        for arg in _stage_args(stages[number], outlined.globals_, dockerfile.escape):
            args.setdefault(arg.name, arg)
        for mount, span in _mounts(stages[number]):
            if mount.type == "secret":
                name = mount.source or mount.id or posixpath.basename(mount.target) or mount.env or ""
                secrets.setdefault(name, MountUse(name, mount.required, span))
            elif mount.type == "ssh":
                name = mount.id or "default"
                ssh.setdefault(name, MountUse(name, mount.required, span))
    from_ = outlined.stages[outlined.target].from_
    return TargetOutline(
        from_.name,
        _description(from_.written, from_.name),
        tuple(sorted(args.values(), key=lambda arg: arg.span)),
        tuple(sorted(secrets.values(), key=lambda use: use.span)),
        tuple(sorted(ssh.values(), key=lambda use: use.span)),
    )


def _needed(outlined: Outline, number: int, done: dict[int, None]) -> dict[int, None]:
    """A stage, then those it is built from, then those it copies from, each once: ``done`` with these added."""
    if number not in done:
        done[number] = None
        for need in outlined.needs(outlined.stages[number]):
            if isinstance(need, StageBase | StageSource):
                _needed(outlined, need.number, done)
    return done


def _stage_args(read: ExpandedStage, globals_: Globals, escape: str) -> Iterator[ArgUse]:
    """The global arguments that the FROM line and bare ARGs take, with those their defaults are made of; and its own."""
    from_ = expand_from(read.stage.from_, globals_.scope, Expander(escape))
    inherited = [*from_.image.found, *(from_.platform.found if from_.platform else ())]
    own: dict[str, ArgUse] = {}
    for number, each in enumerate(read.instructions):
        if not isinstance(each.given, ast.Arg):
            continue
        rest = read.instructions[number + 1 :]
        values = dict((rest[0].scope if rest else read.scope).args)
        for name, default in each.given.pairs:
            if default is None and name in globals_.scope.values:
                inherited.append(name)
            else:
                written = each.given.written
                own[name] = ArgUse(name, values.get(name), _description(written, name), written.span)
    yield from own.values()
    for name in _with_uses(inherited, globals_):
        arg = globals_.args[name]
        yield ArgUse(name, arg.value, _description(arg.written, name), arg.written.span)


def _with_uses(names: list[str], globals_: Globals) -> list[str]:
    """The declared ones among global names, and what their defaults use, through all levels."""
    done: dict[str, None] = {}
    queue = list(names)
    while queue:
        name = queue.pop(0)
        if name in globals_.args and name not in done:
            done[name] = None
            queue += sorted(globals_.args[name].uses)
    return list(done)


def _mounts(read: ExpandedStage) -> Iterator[tuple[Mount, Span]]:
    for each in read.instructions:
        yield from ((mount, each.given.written.span) for mount in each.mounts)


def _description(written: ast.Written, name: str) -> str:
    """The rest of the first comment line above that starts with the name."""
    for comment in written.comments:
        if name and comment.startswith(f"{name} "):
            return comment[len(name) + 1 :]
    return ""
