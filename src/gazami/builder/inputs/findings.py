"""What a Dockerfile's stages need and the context does not have, as findings of ``gazami lint`` and ``--check``."""

from __future__ import annotations

from gazami.builder.inputs.check import Given, missing
from gazami.builder.inputs.needs import needs_as_expanded
from gazami.dockerfile.parser import parse
from gazami.dockerfile.rules import INPUT_MISSING, Finding
from gazami.errors import DockerfileError, Source, Span
from gazami.plan.expand import expand_stages
from gazami.plan.inputs import PlanInputs
from gazami.plan.outline import outline
from gazami.plan.reached import reached
from gazami.values import replace


def input_findings(source: Source, inputs: PlanInputs, given: Given) -> tuple[Finding, ...]:
    """An error for what a build of the target would lack. Without a target, a warning for what only other stages lack.

    No registry is asked: what base images and their triggers add is not known. A text that is no Dockerfile has none.
    """
    try:
        outlined = outline(parse(source), source, inputs)
        needed, _ = reached(outlined, {})
        wanted = needed if inputs.target else range(len(outlined.stages))
        stages = expand_stages(outlined, inputs, {}, wanted)
    except DockerfileError:
        return ()
    found: list[Finding] = []
    for stage in stages:
        for error in missing(needs_as_expanded(stage, outlined), given):
            detail = error.message + (f" ({error.hint})" if error.hint else "")
            finding = Finding(INPUT_MISSING.name, detail, error.span or Span(1, 1), description=INPUT_MISSING.description)
            found.append(replace(finding, level="error") if stage.stage.number in needed else finding)
    return tuple(sorted(found, key=lambda finding: finding.span.start))
