"""What a Dockerfile's stages need and the context does not have, as findings of ``gazami lint`` and ``--check``."""

from __future__ import annotations

from gazami.builder.inputs.check import Given, missing
from gazami.builder.inputs.needs import needs_as_read
from gazami.dockerfile.parser import parse
from gazami.dockerfile.rules import INPUT_MISSING, Finding
from gazami.errors import DockerfileError, Source, Span
from gazami.plan.compile import reached
from gazami.plan.lookups import read_stages
from gazami.plan.outline import Inputs, outline
from gazami.values import replace


def input_findings(source: Source, inputs: Inputs, given: Given) -> tuple[Finding, ...]:
    """An error for what a build of the target would lack. Without a target, a warning for what only other stages lack.

    No registry is asked: what base images and their triggers add is not known. A text that is no Dockerfile has none.
    """
    try:
        outlined = outline(parse(source), source, inputs)
        needed, _ = reached(outlined, {})
        reads = read_stages(outlined, inputs, {})
    except DockerfileError:
        return ()
    found: list[Finding] = []
    for read in reads:
        index = read.stage.index
        if index not in needed and inputs.target:
            continue
        for error in missing(needs_as_read(read, outlined), given):
            detail = error.message + (f" ({error.hint})" if error.hint else "")
            finding = Finding(
                INPUT_MISSING.name, detail, error.span or Span(1, 1), description=INPUT_MISSING.description
            )
            found.append(replace(finding, level="error") if index in needed else finding)
    return tuple(sorted(found, key=lambda finding: finding.span.start))
