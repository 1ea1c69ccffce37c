"""All build checks of a Dockerfile: what ``gazami lint``, ``build --check`` and a build share. Open :func:`lint`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.check_options import CheckOptions, check_options
from gazami.dockerfile.checks import FILE_CHECKS
from gazami.dockerfile.checks import STAGE_CHECKS as TEXT_CHECKS
from gazami.dockerfile.parser import parse_all
from gazami.dockerfile.rules import PARSE_ERROR, UNKNOWN_STAGE, Finding, Rule, RuleHit
from gazami.dockerfile.words import Expander, expand
from gazami.errors import DockerfileError, GazamiError, Source, Span
from gazami.events import Warned
from gazami.plan.checks import FROM_CHECKS, STAGE_CHECKS, FromFacts, IgnoreRules, StageFacts
from gazami.plan.expand import ExpandedInstruction, ExpandedStage, expand_stages
from gazami.plan.global_args import expand_from, expand_globals
from gazami.plan.inputs import PlanInputs
from gazami.plan.outline import Outline, outline
from gazami.plan.reached import ResolvedImage, reached
from gazami.plan.scope import GlobalScope
from gazami.plan.stage_names import unknown_stage
from gazami.plan.steps import ImageBase
from gazami.values import replace


def lint(
    dockerfile: ast.Dockerfile,
    source: Source,
    inputs: PlanInputs,
    ignore: IgnoreRules | None = None,
    images: Mapping[ImageBase, ResolvedImage] | None = None,
    *,
    habits: bool = False,
) -> tuple[Finding, ...]:
    """The findings by line in what the target needs, and without a target in all stages. A mistake that a build would end with is
    one of them, of level ``error``. ``images`` are the configs that are known. ``habits``: gazami's own rules, too.

    Raises :class:`DockerfileError` for check options that cannot be read and :class:`UsageError` for an unknown target.
    """
    try:
        outlined = outline(dockerfile, source, inputs)
        wanted = reached(outlined, images or {})[0] if inputs.target else range(len(outlined.stages))
        stages = expand_stages(outlined, inputs, images or {}, wanted)
    except DockerfileError as error:
        return _by_line((*_of_file(dockerfile, source, inputs), finding_of(error)))
    found = lint_stages(dockerfile, outlined, inputs, stages, ignore)
    if not habits:
        return found
    options = check_options(dockerfile, source, inputs.build_args)
    return _by_line((*found, *_of_habits(outlined, stages, options)))


def lint_stages(
    dockerfile: ast.Dockerfile,
    outlined: Outline,
    inputs: PlanInputs,
    stages: Iterable[ExpandedStage],
    ignore: IgnoreRules | None = None,
) -> tuple[Finding, ...]:
    """The findings by line of a build, in the stages that its plan is made of. Raises as :func:`lint` does."""
    found = _of_file(dockerfile, outlined.source, inputs)
    return _by_line((*found, *_of_stages(dockerfile, outlined, inputs, stages, ignore)))


def _by_line(found: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda finding: finding.span.start))


def lint_names(dockerfile: ast.Dockerfile, outlined: Outline, inputs: PlanInputs) -> tuple[Finding, ...]:
    """The findings that a build reports before it asks a registry: names that look like a stage's, of stages that it needs."""
    options = check_options(dockerfile, outlined.source, inputs.build_args)
    needed, _ = reached(outlined, {})
    return tuple(
        finding for number in sorted(needed) for finding in _findings(UNKNOWN_STAGE, unknown_stage(outlined, number), options)
    )


def lint_text(
    source: Source, inputs: PlanInputs, ignore: IgnoreRules | None = None, *, habits: bool = False
) -> tuple[tuple[Finding, ...], CheckOptions]:
    """The findings of a text that may not even be a Dockerfile, and the options it sets. Raises :class:`UsageError`."""
    dockerfile, mistakes = parse_all(source)
    told = tuple(finding_of(error) for error in mistakes)
    if mistakes:  # what stands above the first one makes sense by itself
        inputs = replace(inputs, target="")
        if not any(isinstance(each, ast.From) for each in dockerfile.instructions):
            return told, CheckOptions()
    try:
        found = lint(dockerfile, source, inputs, ignore, habits=habits)
        if mistakes:
            found = tuple(each for each in found if each.level == "warning")
        options = check_options(dockerfile, source, inputs.build_args)
    except DockerfileError as error:
        return (finding_of(error), *told), CheckOptions()
    return (*found, *told), options


def finding_of(error: GazamiError) -> Finding:
    """A mistake that ends a build, as a finding."""
    return Finding(PARSE_ERROR, error.message, error.span or Span(1, 1), level="error")


def findings_as_events(findings: Iterable[Finding]) -> tuple[Warned, ...]:
    """The warnings among findings, as a build reports them."""
    return tuple(Warned(finding.detail, finding.rule, finding.span) for finding in findings if finding.level == "warning")


def violation(findings: Iterable[Finding]) -> DockerfileError | None:
    """The error of a build whose Dockerfile says ``# check=error=true``; None when no rule is violated."""
    names = sorted({finding.rule for finding in findings if finding.level == "warning"})
    if not names:
        return None
    return DockerfileError(
        f"lint violation found for rules: {', '.join(names)}",
        hint="fix the warnings above, skip a rule (# check=skip=NAME), or remove error=true",
    )


def _findings(rule: Rule, hits: Iterable[RuleHit], options: CheckOptions) -> Iterator[Finding]:
    for hit in hits:
        if options.with_comments(hit.written.comments).allows(rule):
            yield Finding(rule.name, hit.detail, hit.span or hit.written.span, rule.url, rule.description)


def _of_file(dockerfile: ast.Dockerfile, source: Source, inputs: PlanInputs) -> Iterator[Finding]:
    """Of the text as a whole and its FROM lines. A mistake in those ends this silently: :func:`outline` meets it too."""
    options = check_options(dockerfile, source, inputs.build_args)
    for rule, check in FILE_CHECKS:
        yield from _findings(rule, check(dockerfile), options)
    defaults: GlobalScope | None = None
    with contextlib.suppress(DockerfileError):
        defaults = expand_globals(dockerfile, source, inputs, with_build_args=False).scope
    try:
        scope = expand_globals(dockerfile, source, inputs).scope
    except DockerfileError:
        return
    for from_ in (each for each in dockerfile.instructions if isinstance(each, ast.From)):
        try:
            read = expand_from(from_, scope, Expander(dockerfile.escape))
        except DockerfileError:
            continue
        facts = FromFacts(read, _by_default(from_, defaults, dockerfile.escape), scope, inputs.host)
        for from_rule, from_check in FROM_CHECKS:
            yield from _findings(from_rule, from_check(facts), options)


def _by_default(from_: ast.From, defaults: GlobalScope | None, escape: str) -> str | None:
    """The image's name without build arguments."""
    try:
        return expand(from_.image, defaults.values, escape).text if defaults is not None else None
    except DockerfileError:
        return None


def _of_stages(
    dockerfile: ast.Dockerfile, outlined: Outline, inputs: PlanInputs, stages: Iterable[ExpandedStage], ignore: IgnoreRules | None
) -> Iterator[Finding]:
    options = check_options(dockerfile, outlined.source, inputs.build_args)
    spoken = _spoken(dockerfile) | outlined.globals_.scope.values.keys()
    for stage in stages:
        given = tuple(each.given for each in stage.instructions)
        for rule, text_check in TEXT_CHECKS:
            yield from _findings(rule, text_check(given), options)
        for rule, check in STAGE_CHECKS:
            yield from _findings(rule, check(StageFacts(stage, spoken, ignore)), options)
        for each in stage.instructions:
            if each.error is not None and _is_sure(each, stage):
                yield finding_of(each.error)
        yield from _findings(UNKNOWN_STAGE, unknown_stage(outlined, stage.stage.number), options)


def _of_habits(outlined: Outline, stages: Iterable[ExpandedStage], options: CheckOptions) -> Iterator[Finding]:
    from gazami.plan.habits import HABIT_CHECKS, habit_facts

    kept = outlined.in_images()
    for stage in stages:
        facts = habit_facts(stage, kept=stage.stage.number in kept)
        for rule, check in HABIT_CHECKS:
            yield from _findings(rule, check(facts), options)


def _is_sure(each: ExpandedInstruction, stage: ExpandedStage) -> bool:
    """``${X:?}`` is no mistake where an unknown base may define X."""
    return stage.certain or not any(text.missing for text in each.texts)


def _spoken(dockerfile: ast.Dockerfile) -> frozenset[str]:
    """The names that an ARG or ENV declares somewhere."""
    return frozenset(name for each in dockerfile.instructions if isinstance(each, ast.Arg | ast.Env) for name, _ in each.pairs)
