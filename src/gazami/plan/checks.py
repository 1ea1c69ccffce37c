"""The build checks that need meaning: stages, variables, the configs of base images, the ignore file.

A base image whose config is not given may define any variable. In stages on top of one, UndefinedVar reports only names that the
Dockerfile itself uses.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeAlias

from gazami.dockerfile import instructions as ast
from gazami.dockerfile import rules
from gazami.dockerfile.rules import Rule, RuleHit
from gazami.dockerfile.suggest import nearest
from gazami.errors import UsageError
from gazami.image.platform import Platform, parse_platform
from gazami.image.reference import parse_reference
from gazami.plan.expand import ExpandedStage
from gazami.plan.global_args import ExpandedFrom
from gazami.plan.scope import GlobalScope
from gazami.plan.steps import ImageBase
from gazami.values import fast_dataclass

_NOT_IN_ENV = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
_COMPARED = 300
"""Names among which one that looks like an undefined one is sought."""
_REMOTE = ("http://", "https://", "git://", "ssh://", "git@")
_EVERYTHING = frozenset({"*", "**", "**/*"})


class IgnorePattern(Protocol):
    @property
    def text(self) -> str: ...


class IgnoreRules(Protocol):
    """What is asked of :class:`gazami.context.ignore.Ignore`, whose package is above this one."""

    @property
    def patterns(self) -> Sequence[IgnorePattern]: ...

    @property
    def has_exceptions(self) -> bool: ...

    def excludes(self, path: str) -> bool: ...


@fast_dataclass(frozen=True, slots=True)
class FromFacts:
    """A FROM line. ``by_default`` is the image's name when no build argument is given, None where that is unknown."""

    read: ExpandedFrom
    by_default: str | None
    scope: GlobalScope
    host: Platform


@fast_dataclass(frozen=True, slots=True)
class StageFacts:
    """A stage. ``spoken`` are the names that the Dockerfile declares anywhere, and the predefined ones."""

    read: ExpandedStage
    spoken: frozenset[str]
    ignore: IgnoreRules | None = None


FromCheck: TypeAlias = Callable[[FromFacts], Iterator[RuleHit]]
StageCheck: TypeAlias = Callable[[StageFacts], Iterator[RuleHit]]


# -- FROM lines -----------------------------------------------------------------------------------------------------------


def undefined_arg_in_from(facts: FromFacts) -> Iterator[RuleHit]:
    known = sorted({*facts.scope.values, *facts.scope.declared})
    for read in (facts.read.image, facts.read.platform):
        for name in read.missing if read else ():
            if name not in facts.scope.declared:
                meant = _meant(nearest(name, known, ignore_case=False))
                yield RuleHit(facts.read.from_.written, f"FROM argument '{name}' is not declared{meant}")


def redundant_target_platform(facts: FromFacts) -> Iterator[RuleHit]:
    read = facts.read.platform
    if read and not read.missing and read.found == ("TARGETPLATFORM",) and read.text == facts.scope.values["TARGETPLATFORM"]:
        written = facts.read.from_.platform
        yield RuleHit(
            facts.read.from_.written,
            f"Setting platform to predefined {written} in FROM is redundant as this is the default behavior",
        )


def from_platform_flag_const_disallowed(facts: FromFacts) -> Iterator[RuleHit]:
    """A stage whose name says what it is for may have a platform of its own."""
    read, from_ = facts.read.platform, facts.read.from_
    if read is None or read.found or read.missing:
        return
    try:
        platform = parse_platform(read.text, host=facts.host)
    except UsageError:
        return
    if platform.os not in from_.name and platform.architecture not in from_.name:
        yield RuleHit(from_.written, f'FROM --platform flag should not use constant value "{read.text}"')


def invalid_default_arg_in_from(facts: FromFacts) -> Iterator[RuleHit]:
    if facts.by_default is None:
        return
    if any(name not in facts.scope.declared for name in facts.read.image.missing):
        return  # there is no default: UndefinedArgInFrom tells of it
    try:
        parse_reference(facts.by_default)
    except UsageError:
        image = facts.read.from_.image
        yield RuleHit(facts.read.from_.written, f"Default value for ARG {image} results in empty or invalid base image name")


# -- stages ---------------------------------------------------------------------------------------------------------------


def undefined_var(facts: StageFacts) -> Iterator[RuleHit]:
    certain = facts.read.certain
    for each in facts.read.instructions:
        for name in each.missing:
            known = [other for other in each.scope.env if certain or abs(len(other) - len(name)) < 2]
            near = nearest(name, known, ignore_case=False) if len(known) <= _COMPARED else None
            if name not in _NOT_IN_ENV and (certain or near or name in facts.spoken):
                meant = _meant(f"${near}" if near else None)
                yield RuleHit(each.given.written, f"Usage of undefined variable '${name}'{meant}")


def workdir_relative_path(facts: StageFacts) -> Iterator[RuleHit]:
    """Only the first WORKDIR of a stage and those it is built from: the ones after it are relative to that."""
    if facts.read.parent and facts.read.parent.sets_workdir:
        return
    for each in facts.read.instructions:
        if isinstance(each.given, ast.Workdir):
            path, missing = (each.texts[0].text, each.texts[0].missing) if each.texts else ("", ())
            if path and not path.startswith("/") and not (missing and not facts.read.certain):
                yield RuleHit(
                    each.given.written, f'Relative workdir "{path}" can have unexpected results if the base image changes'
                )
            return


def json_args_recommended(facts: StageFacts) -> Iterator[RuleHit]:
    """A stage with a SHELL of its own means the shell form."""
    if facts.read.has_shell:
        return
    for each in facts.read.instructions:
        instruction = each.given
        if isinstance(instruction, ast.Shell):
            return
        if isinstance(instruction, ast.Cmd | ast.Entrypoint) and instruction.command.shell:
            yield RuleHit(
                instruction.written,
                f"JSON arguments recommended for {instruction.written.keyword} to prevent unintended behavior related to "
                "OS signals",
            )


def expose_proto_casing(facts: StageFacts) -> Iterator[RuleHit]:
    for written, word in _ports(facts.read):
        protocol = word.rpartition(":")[2].partition("/")[2]
        if protocol != protocol.lower():
            yield RuleHit(written, f"Defined protocol '{word}' in EXPOSE instruction should be lowercase")


def expose_invalid_format(facts: StageFacts) -> Iterator[RuleHit]:
    for written, word in _ports(facts.read):
        if any(word.split(":")[:-1]):
            yield RuleHit(written, f"EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'")


def _ports(read: ExpandedStage) -> Iterator[tuple[ast.Written, str]]:
    for each in read.instructions:
        for port in each.texts:
            if port.part == "port":
                yield from ((each.given.written, word) for word in port.words)


def copy_ignored_file(facts: StageFacts) -> Iterator[RuleHit]:
    """Silent when the ignore file has exceptions: a directory's name does not show what they bring back below it."""
    ignore = facts.ignore
    if ignore is None or not ignore.patterns or ignore.has_exceptions:
        return
    for each in facts.read.instructions:
        instruction = each.given
        if not isinstance(instruction, ast.Copy | ast.Add) or (isinstance(instruction, ast.Copy) and instruction.flags.from_):
            continue
        verb = "Copy" if isinstance(instruction, ast.Copy) else "Add"
        for read in each.texts:
            unsure = bool(read.missing) and not facts.read.certain
            if read.part == "source" and not unsure and not read.text.startswith(_REMOTE):
                path = posixpath.normpath(read.text)
                if _is_excluded(path, ignore):
                    yield RuleHit(instruction.written, f'Attempting to {verb} file "{path}" that is excluded by .dockerignore')


def _is_excluded(path: str, ignore: IgnoreRules) -> bool:
    if path in (".", "/"):
        return any(pattern.text in _EVERYTHING for pattern in ignore.patterns)
    return ignore.excludes(path)


def invalid_base_image_platform(facts: StageFacts) -> Iterator[RuleHit]:
    """Needs the base's config: what was pulled is for another system or processor than what is built."""
    stage, config = facts.read.stage, facts.read.config
    if config is None or not isinstance(stage.base, ImageBase):
        return
    expected, actual = stage.platform, config.platform
    if (expected.os, expected.architecture) != (actual.os, actual.architecture):
        yield RuleHit(
            stage.from_.written,
            f'Base image {stage.base_text} was pulled with platform "{actual}", expected "{expected}" for current build',
        )


def _meant(name: str | None) -> str:
    return f" (did you mean {name}?)" if name else ""


FROM_CHECKS: tuple[tuple[Rule, FromCheck], ...] = (
    (rules.UNDEFINED_ARG_IN_FROM, undefined_arg_in_from),
    (rules.REDUNDANT_TARGET_PLATFORM, redundant_target_platform),
    (rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED, from_platform_flag_const_disallowed),
    (rules.INVALID_DEFAULT_ARG_IN_FROM, invalid_default_arg_in_from),
)

STAGE_CHECKS: tuple[tuple[Rule, StageCheck], ...] = (
    (rules.INVALID_BASE_IMAGE_PLATFORM, invalid_base_image_platform),
    (rules.UNDEFINED_VAR, undefined_var),
    (rules.WORKDIR_RELATIVE_PATH, workdir_relative_path),
    (rules.JSON_ARGS_RECOMMENDED, json_args_recommended),
    (rules.EXPOSE_PROTO_CASING, expose_proto_casing),
    (rules.EXPOSE_INVALID_FORMAT, expose_invalid_format),
    (rules.COPY_IGNORED_FILE, copy_ignored_file),
)
