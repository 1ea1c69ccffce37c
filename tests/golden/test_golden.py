"""Golden folders: ``plan/<case>`` (Dockerfile → plan, history, config) and ``errors/<case>`` (Dockerfile → message).

Adding a case is adding a folder with a ``Dockerfile``; ``pytest tests/golden --accept`` writes what is expected.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gazami.dockerfile.parser import parse
from gazami.errors import GazamiError, Source
from gazami.image.config import ImageConfig, encode_config
from gazami.image.digest import digest_of
from gazami.image.platform import Platform
from gazami.plan.compile import Missing, compile_plan
from gazami.plan.inputs import PlanInputs
from gazami.plan.outline import outline
from gazami.plan.reached import ResolvedImage
from gazami.plan.render import render_plan
from gazami.plan.steps import Plan, RunStep
from gazami.report.excerpt import failure

FOLDER = Path(__file__).parent
HOST = Platform("linux", "amd64")
BASE = ImageConfig(HOST, env=(("PATH", "/bin"), ("LANG", "C")), cmd=("sh",), onbuild=("RUN echo triggered",))


def planned(text: str) -> Plan:
    source = Source("Dockerfile", text)
    inputs = PlanInputs({"GIVEN": "from the command line"}, HOST, HOST, labels=(("flag", "1"),) if "# label" in text else ())
    outlined = outline(parse(source), source, inputs)
    result = compile_plan(outlined, inputs, {})
    while isinstance(result, Missing):
        images = {base: ResolvedImage(digest_of(base.reference.encode()), BASE) for base in result.images}
        result = compile_plan(outlined, inputs, images)
    return result.plan


def rendered(plan: Plan) -> str:
    out = [render_plan(plan)]
    for stage in plan.stages:
        out += [step.common.created_by or "(no history)" for step in stage.steps]
        out += [f"argv {step.argv!r} env {step.env!r}" for step in stage.steps if isinstance(step, RunStep)]
    out += [warning.text for warning in plan.warnings]
    return "\n".join([*out, encode_config(plan.stages[-1].final_config).decode(), ""])


def compare(case: Path, found: str, accept: bool) -> None:
    expected = case / "expected.txt"
    if accept:
        expected.write_text(found)
    assert found == expected.read_text()


@pytest.mark.parametrize("case", sorted((FOLDER / "plan").iterdir()), ids=lambda case: case.name)
def test_plan(case: Path, accept: bool) -> None:
    compare(case, rendered(planned((case / "Dockerfile").read_text())), accept)


@pytest.mark.parametrize("case", sorted((FOLDER / "errors").iterdir()), ids=lambda case: case.name)
def test_error(case: Path, accept: bool) -> None:
    with pytest.raises(GazamiError) as caught:
        planned((case / "Dockerfile").read_text())
    compare(case, failure(caught.value).text + "\n", accept)
