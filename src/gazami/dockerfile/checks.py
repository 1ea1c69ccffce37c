"""The build checks that the text alone decides: casing, names, comments, forms that are out of date.

``FILE_CHECKS`` look at the whole file; ``STAGE_CHECKS`` at one stage's instructions, so that a build reports only the stages that
it needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from gazami.dockerfile import instructions as ast
from gazami.dockerfile import rules
from gazami.dockerfile.rules import Rule, RuleHit
from gazami.errors import Span

FileCheck: TypeAlias = Callable[[ast.Dockerfile], Iterator[RuleHit]]
StageCheck: TypeAlias = Callable[[Sequence[ast.Instruction]], Iterator[RuleHit]]

_RESERVED = frozenset({"scratch", "context"})
_SECRET = re.compile(r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|\Z)", re.IGNORECASE)
_NO_SECRET = re.compile(r"(?:_|^)(?:public|file|version)(?:_|\Z)", re.IGNORECASE)


def _froms(dockerfile: ast.Dockerfile) -> Iterator[ast.From]:
    return (each for each in dockerfile.instructions if isinstance(each, ast.From))


# -- of the file ----------------------------------------------------------------------------------------------------------


def stage_name_casing(dockerfile: ast.Dockerfile) -> Iterator[RuleHit]:
    for each in _froms(dockerfile):
        if each.name_written != each.name_written.lower():
            yield RuleHit(each.written, f"Stage name '{each.name_written}' should be lowercase")


def from_as_casing(dockerfile: ast.Dockerfile) -> Iterator[RuleHit]:
    """A FROM of mixed case is the business of :func:`consistent_instruction_casing`."""
    for each in _froms(dockerfile):
        keyword, as_ = each.written.keyword, each.as_keyword
        matching = {keyword.lower(): as_.lower(), keyword.upper(): as_.upper()}.get(keyword)
        if matching is not None and as_ != matching:
            yield RuleHit(each.written, f"'{as_}' and '{keyword}' keywords' casing do not match")


def no_empty_continuation(dockerfile: ast.Dockerfile) -> Iterator[RuleHit]:
    for each in dockerfile.instructions:
        if each.written.empty_lines:
            end = each.written.span.end
            yield RuleHit(each.written, "Empty continuation line", Span(end, end))


def consistent_instruction_casing(dockerfile: ast.Dockerfile) -> Iterator[RuleHit]:
    """The majority decides, upper case when there is none; the global ARGs neither count nor are looked at."""
    case = keyword_case(dockerfile)
    name = "lowercase" if case is str.lower else "uppercase"
    for each in _counted(dockerfile):
        if each.keyword != case(each.keyword):
            yield RuleHit(each, f"Command '{each.keyword}' should match the case of the command majority ({name})")


def keyword_case(dockerfile: ast.Dockerfile) -> Callable[[str], str]:
    """What gives a keyword the case of the majority."""
    lower = sum(each.keyword.islower() for each in _counted(dockerfile))
    upper = sum(each.keyword.isupper() for each in _counted(dockerfile))
    return str.lower if lower > upper else str.upper


def _counted(dockerfile: ast.Dockerfile) -> list[ast.Written]:
    kinds = [isinstance(each, ast.From) for each in dockerfile.instructions]
    return [each.written for each in dockerfile.instructions[kinds.index(True) :]]


def duplicate_stage_name(dockerfile: ast.Dockerfile) -> Iterator[RuleHit]:
    seen: set[str] = set()
    for each in _froms(dockerfile):
        if each.name and each.name in seen:
            yield RuleHit(each.written, f'Duplicate stage name "{each.name}", stage names should be unique')
        seen.add(each.name)


def reserved_stage_name(dockerfile: ast.Dockerfile) -> Iterator[RuleHit]:
    for each in _froms(dockerfile):
        if each.name in _RESERVED:
            yield RuleHit(each.written, f'Stage name should not use the same name as reserved stage "{each.name}"')


def maintainer_deprecated(dockerfile: ast.Dockerfile) -> Iterator[RuleHit]:
    for each in dockerfile.instructions:
        if isinstance(each, ast.Maintainer):
            yield RuleHit(each.written, "Maintainer instruction is deprecated in favor of using label")


def invalid_definition_description(dockerfile: ast.Dockerfile) -> Iterator[RuleHit]:
    for each in dockerfile.instructions:
        match each:
            case ast.From(name=str(name)) if name:
                kind, names = "FROM", [name]
            case ast.Arg():
                kind, names = "ARG", [name for name, _ in each.pairs]
            case _:
                continue
        if each.written.comments and each.written.comments[-1].split(" ")[0] not in names:
            example = names[0] if len(names) == 1 else "<arg_key>"
            yield RuleHit(each.written, f"Comment for {kind} should follow the format: `# {example} <description>`")


# -- of a stage -----------------------------------------------------------------------------------------------------------


def multiple_instructions_disallowed(instructions: Sequence[ast.Instruction]) -> Iterator[RuleHit]:
    """Shown at the earlier one, which is the one without effect."""
    last: dict[type[ast.Instruction], ast.Instruction] = {}
    for each in instructions:
        if isinstance(each, ast.Cmd | ast.Entrypoint | ast.Healthcheck):
            if type(each) in last:
                yield RuleHit(
                    each.written,
                    f"Multiple {each.written.keyword} instructions should not be used in the same stage because only the "
                    "last one will be used",
                    last[type(each)].written.span,
                )
            last[type(each)] = each


def legacy_key_value_format(instructions: Sequence[ast.Instruction]) -> Iterator[RuleHit]:
    for each in instructions:
        if isinstance(each, ast.Env | ast.Label) and each.legacy:
            name = each.written.keyword
            yield RuleHit(each.written, f'"{name} key=value" should be used instead of legacy "{name} key value" format')


def secrets_used_in_arg_or_env(instructions: Sequence[ast.Instruction]) -> Iterator[RuleHit]:
    """By name only: ``_``-delimited words that mean a secret, and none that says otherwise."""
    for each in instructions:
        if isinstance(each, ast.Arg | ast.Env):
            keyword = "ARG" if isinstance(each, ast.Arg) else "ENV"
            for name, _ in each.pairs:
                if _SECRET.search(name) and not _NO_SECRET.search(name):
                    yield RuleHit(each.written, f'Do not use ARG or ENV instructions for sensitive data ({keyword} "{name}")')


FILE_CHECKS: tuple[tuple[Rule, FileCheck], ...] = (
    (rules.STAGE_NAME_CASING, stage_name_casing),
    (rules.FROM_AS_CASING, from_as_casing),
    (rules.NO_EMPTY_CONTINUATION, no_empty_continuation),
    (rules.CONSISTENT_INSTRUCTION_CASING, consistent_instruction_casing),
    (rules.DUPLICATE_STAGE_NAME, duplicate_stage_name),
    (rules.RESERVED_STAGE_NAME, reserved_stage_name),
    (rules.MAINTAINER_DEPRECATED, maintainer_deprecated),
    (rules.INVALID_DEFINITION_DESCRIPTION, invalid_definition_description),
)

STAGE_CHECKS: tuple[tuple[Rule, StageCheck], ...] = (
    (rules.MULTIPLE_INSTRUCTIONS_DISALLOWED, multiple_instructions_disallowed),
    (rules.LEGACY_KEY_VALUE_FORMAT, legacy_key_value_format),
    (rules.SECRETS_USED_IN_ARG_OR_ENV, secrets_used_in_arg_or_env),
)
