"""All mistakes of a Dockerfile are told at once by lint, with the findings above the first one; a build tells the first."""

from __future__ import annotations

import pytest

from gazami.dockerfile.parser import MAX_ERRORS, parse, parse_all
from gazami.errors import DockerfileError, Source
from gazami.image.platform import Platform
from gazami.plan.inputs import PlanInputs
from gazami.plan.lint import lint_text

HOST = Platform("linux", "amd64")


def found(text: str, **options: str) -> list[tuple[str, int]]:
    findings, _ = lint_text(Source("Dockerfile", text), PlanInputs({}, HOST, HOST, **options))
    return [(each.rule, each.span.start) for each in findings]


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            "FROM scratch as a\nNOPE\nCOPY\nRUN true\nENV\n",
            [("FromAsCasing", 1), ("ParseError", 2), ("ParseError", 3), ("ParseError", 5)],
        ),
        ("FROM scratch\nMAINTAINER me\nRUN <<EOF\nnever\n", [("MaintainerDeprecated", 2), ("ParseError", 3)]),
        ("FROM scratch\nNOPE\nRUN <<EOF\nnever\n", [("ParseError", 2), ("ParseError", 3)]),
        ("FROM a b\nRUN true\nCOPY --nope a b\n", [("ParseError", 1), ("ParseError", 3)]),
        ("FROM a AS 1\nCOPY --from=1 a /\n", [("ParseError", 1)]),
        ("NOPE\n", [("ParseError", 1)]),
        ("RUN true\nFROM scratch\n", [("ParseError", 1)]),
        ("ARG a\n", [("ParseError", 1)]),
        ("# only this\n", [("ParseError", 1)]),
        ("FROM scratch\nNOPE \\\n  more\n# a comment\nCOPYY a b\n", [("ParseError", 2), ("ParseError", 5)]),
        ("FROM scratch\nRUN <<A <<B\nNOPE\nA\nB\nNOPE\n", [("ParseError", 6)]),
    ],
)
def test_mistakes_and_what_stands_above(text: str, expected: list[tuple[str, int]]) -> None:
    assert found(text) == expected


def test_a_target_below_a_mistake_is_no_mistake_of_its_own() -> None:
    assert found("FROM scratch AS a\nNOPE\nFROM scratch AS b\n", target="b") == [("ParseError", 2)]


def test_there_is_an_end() -> None:
    _, errors = parse_all(Source("Dockerfile", "FROM scratch\n" + "NOPE\n" * 5000))
    assert len(errors) == MAX_ERRORS


def test_a_build_tells_the_first() -> None:
    with pytest.raises(DockerfileError) as error:
        parse(Source("Dockerfile", "FROM scratch\nNOPE\nNOPE2\n"))
    assert error.value.span is not None and error.value.span.start == 2


@pytest.mark.parametrize("image", ["$NOPE", "$NOPE:1", "a/${NOPE}"])
def test_an_undeclared_argument_of_from_is_one_finding(image: str) -> None:
    rules = [rule for rule, _ in found(f"FROM {image}\n") if rule != "ParseError"]
    assert rules == ["UndefinedArgInFrom"]
    assert [rule for rule, _ in found(f"ARG NOPE\nFROM {image}\n") if rule != "ParseError"] == ["InvalidDefaultArgInFrom"]
