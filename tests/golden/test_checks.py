"""Golden folders of the build checks: ``checks/<case>/Dockerfile`` → ``expected.json``, the findings by line. Those in ``habits``
are of gazami's own rules too.

A case may have a ``.dockerignore`` and an ``inputs.json`` with ``build_args``, ``target``, ``stages`` (numbers) and ``images``
(reference → ``platform``, ``env``, ``shell``, ``onbuild`` of a config that is known).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gazami.context.ignore import parse_ignore
from gazami.dockerfile.parser import parse
from gazami.dockerfile.rules import HABIT_RULES, RULES, Rule
from gazami.errors import Source
from gazami.image.config import ImageConfig
from gazami.image.digest import digest_of
from gazami.image.platform import Platform, parse_platform
from gazami.plan.expand import expand_stages
from gazami.plan.inputs import PlanInputs
from gazami.plan.lint import lint, lint_stages
from gazami.plan.outline import outline
from gazami.plan.reached import ResolvedImage
from gazami.plan.steps import ImageBase

FOLDER = Path(__file__).parent / "checks"
HABITS = Path(__file__).parent / "habits"
CASES = sorted(FOLDER.iterdir())
HOST = Platform("linux", "amd64")


def findings(case: Path) -> list[dict[str, Any]]:
    source = Source("Dockerfile", (case / "Dockerfile").read_text())
    given = json.loads((case / "inputs.json").read_text()) if (case / "inputs.json").exists() else {}
    ignore = parse_ignore((case / ".dockerignore").read_text()) if (case / ".dockerignore").exists() else None
    inputs = PlanInputs(given.get("build_args", {}), HOST, HOST, given.get("target", ""))
    images = {
        ImageBase(reference, HOST): ResolvedImage(
            digest_of(reference.encode()),
            ImageConfig(
                parse_platform(image.get("platform", "linux/amd64")),
                env=tuple(image.get("env", {}).items()),
                shell=tuple(image.get("shell", ())),
                onbuild=tuple(image.get("onbuild", ())),
            ),
        )
        for reference, image in given.get("images", {}).items()
    }
    dockerfile = parse(source)
    if "stages" in given:
        outlined = outline(dockerfile, source, inputs)
        stages = expand_stages(outlined, inputs, images, given["stages"])
        found = lint_stages(dockerfile, outlined, inputs, stages, ignore)
    else:
        found = lint(dockerfile, source, inputs, ignore, images, habits=case.parent == HABITS)
    return [
        {"rule": finding.rule, "line": finding.span.start, "message": finding.detail, "level": finding.level} for finding in found
    ]


@pytest.mark.parametrize("case", [*CASES, *sorted(HABITS.iterdir())], ids=lambda case: case.name)
def test_checks(case: Path, accept: bool) -> None:
    expected = case / "expected.json"
    found = findings(case)
    if accept:
        expected.write_text(json.dumps(found, indent=2) + "\n")
    assert found == json.loads(expected.read_text())


def rules_of(case: Path) -> set[str]:
    return {found["rule"] for found in json.loads((case / "expected.json").read_text())}


@pytest.mark.parametrize("folder, rules", [(FOLDER, RULES), (HABITS, HABIT_RULES)], ids=["checks", "habits"])
def test_every_rule_fires_in_some_case_and_keeps_silent_in_its_own(folder: Path, rules: tuple[Rule, ...]) -> None:
    for rule in rules:
        assert rule.name in rules_of(folder / rule.name)
        assert rule.name not in rules_of(folder / f"{rule.name}-quiet")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_build_looks_at_habits(case: Path) -> None:
    assert not rules_of(case) & {rule.name for rule in HABIT_RULES}
