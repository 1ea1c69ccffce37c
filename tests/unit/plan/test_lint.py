"""The checks of a build: events, the error of ``error=true``, and what a property of all Dockerfiles is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazami.dockerfile.rules import Finding
from gazami.errors import DockerfileError, Source, Span, UsageError
from gazami.events import Warned
from gazami.image.platform import Platform
from gazami.plan.inputs import PlanInputs
from gazami.plan.lint import findings_as_events, lint_text, violation

HOST = Platform("linux", "amd64")
GOLDEN = Path(__file__).parents[2] / "golden"
WARNING = Finding("UndefinedVar", "Usage of undefined variable '$x'", Span(3, 4), "https://url/")
ERROR = Finding("ParseError", "bad", Span(1, 1), level="error")


def test_warnings_become_events() -> None:
    assert findings_as_events([WARNING, ERROR]) == (Warned(WARNING.detail, "UndefinedVar", Span(3, 4)),)


def test_a_violation_names_each_rule_once() -> None:
    other = Finding("StageNameCasing", "…", Span(1, 1))
    error = violation([WARNING, other, WARNING, ERROR])
    assert isinstance(error, DockerfileError)
    assert str(error) == "lint violation found for rules: StageNameCasing, UndefinedVar"
    assert violation([]) is violation([ERROR]) is None


def test_what_is_no_dockerfile_is_a_finding() -> None:
    findings, options = lint_text(Source("Dockerfile", "FROM a\nRUNN x\n"), PlanInputs({}, HOST, HOST))
    assert [(each.rule, each.level, each.span) for each in findings] == [("ParseError", "error", Span(2, 2))]
    assert not options.error


def test_an_unknown_target_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="target stage"):
        lint_text(Source("Dockerfile", "FROM a\n"), PlanInputs({}, HOST, HOST, "b"))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/*/Dockerfile")), ids=lambda path: path.parent.name)
def test_no_dockerfile_breaks_the_checks(path: Path) -> None:
    findings, _ = lint_text(Source("Dockerfile", path.read_text()), PlanInputs({}, HOST, HOST), habits=True)
    lines = [each.span.start for each in findings]
    assert lines == sorted(lines)
