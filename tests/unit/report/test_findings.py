"""Findings in each of the forms."""

from __future__ import annotations

import base64
import json
import re

import pytest

from gazami.dockerfile.rules import Finding
from gazami.errors import Source, Span
from gazami.report.findings import FORMATS, Checked, as_check_json, as_github, as_gitlab, as_json, as_sarif
from gazami.report.findings_text import TEXTS, as_concise, as_text

SOURCE = Source("docker/Dockerfile", "FROM a AS B\nRUN x\nBAD\n")
WARNING = Finding("StageNameCasing", "Stage name 'B' should be lowercase", Span(1, 1), "https://url/", "Stage names …")
ERROR = Finding("ParseError", "unknown instruction: BAD", Span(3, 3), level="error")


def test_text_has_blocks_with_excerpts() -> None:
    assert as_text([Checked(SOURCE, [WARNING])]) == (
        "Check complete, 1 warning has been found!\n"
        "\n"
        "WARNING: StageNameCasing - https://url/\n"
        "Stage name 'B' should be lowercase\n"
        "docker/Dockerfile:1\n"
        "--------------------\n"
        "   1 | >>> FROM a AS B\n"
        "   2 |     RUN x\n"
        "   3 |     BAD\n"
        "--------------------\n"
    )


@pytest.mark.parametrize(
    "findings, head",
    [
        ([], "Check complete, no warnings found."),
        ([WARNING, WARNING], "Check complete, 2 warnings have been found!"),
        ([ERROR], "Check failed."),
        ([ERROR, WARNING], "Check failed, 1 warning has been found!"),
    ],
)
def test_text_says_how_many(findings: list[Finding], head: str) -> None:
    assert as_text([Checked(SOURCE, findings)]).splitlines()[0] == head


def test_text_has_errors_last() -> None:
    text = as_text([Checked(SOURCE, [ERROR, WARNING])])
    assert text.index("WARNING: StageNameCasing") < text.index("ERROR\nunknown instruction: BAD")


def test_json_is_a_list_of_five_members() -> None:
    assert json.loads(as_json([Checked(SOURCE, [WARNING, ERROR])])) == [
        {"rule": "StageNameCasing", "file": "docker/Dockerfile", "line": 1, "message": WARNING.detail, "level": "warning"},
        {"rule": "ParseError", "file": "docker/Dockerfile", "line": 3, "message": ERROR.detail, "level": "error"},
    ]


def test_check_json_is_buildkits() -> None:
    value = json.loads(as_check_json([WARNING, ERROR], SOURCE))
    assert [warning["ruleName"] for warning in value["warnings"]] == ["StageNameCasing"]
    assert value["warnings"][0]["location"] == {"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]}
    assert base64.b64decode(value["sources"][0]["data"]).decode() == SOURCE.text
    assert value["buildError"]["message"] == ERROR.detail
    assert "buildError" not in json.loads(as_check_json([WARNING], SOURCE))


def test_sarif_names_rules_by_index() -> None:
    run = json.loads(as_sarif([Checked(SOURCE, [WARNING, ERROR, WARNING])]))["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["StageNameCasing", "ParseError"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert [result["level"] for result in run["results"]] == ["warning", "error", "warning"]
    place = run["results"][1]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "docker/Dockerfile"}, "region": {"startLine": 3, "endLine": 3}}


def test_github_commands_escape_what_would_end_them() -> None:
    odd = Finding("Rule", "100%\nof it", Span(2, 3))
    assert as_github([Checked(Source("a,b:c", ""), [odd])]) == (
        "::warning file=a%2Cb%3Ac,line=2,endLine=3,title=Rule::100%25%0Aof it\n"
    )
    assert as_github([Checked(SOURCE, [ERROR])]).startswith("::error file=docker/Dockerfile,line=3,")
    assert as_github([Checked(SOURCE, [])]) == ""


def test_gitlab_fingerprints_differ_and_do_not_move() -> None:
    moved = Finding(WARNING.rule, WARNING.detail, Span(7, 7))
    first, second = json.loads(as_gitlab([Checked(SOURCE, [WARNING, WARNING])]))
    assert first["fingerprint"] != second["fingerprint"]
    assert json.loads(as_gitlab([Checked(SOURCE, [moved])]))[0]["fingerprint"] == first["fingerprint"]
    assert first["location"] == {"path": "docker/Dockerfile", "lines": {"begin": 1, "end": 1}}
    assert [each["severity"] for each in json.loads(as_gitlab([Checked(SOURCE, [WARNING, ERROR])]))] == ["minor", "critical"]


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_can_be_empty(form: str) -> None:
    assert "Traceback" not in FORMATS[form]([Checked(SOURCE, [])])


# -- several files, colors ---------------------------------------------------------------------------------------------------

OTHER = Source("web/Dockerfile", "FROM b\n    RUN \x1b[2J y\n")
SEVERAL = [
    Checked(SOURCE, [WARNING, ERROR]),
    Checked(OTHER, [Finding("UndefinedVar", "what\nis", Span(2, 2))]),
    Checked(Source("c", ""), []),
]


def test_several_files_are_one_document() -> None:
    assert as_text(SEVERAL).splitlines()[0] == "Check failed, 2 warnings have been found in 2 of 3 files!"
    assert as_text(SEVERAL[2:] * 2) == "Check complete, no warnings found in 2 files.\n"
    assert [each["file"] for each in json.loads(as_json(SEVERAL))] == ["docker/Dockerfile", "docker/Dockerfile", "web/Dockerfile"]
    assert [each["location"]["path"] for each in json.loads(as_gitlab(SEVERAL))][2] == "web/Dockerfile"
    assert len(json.loads(as_sarif(SEVERAL))["runs"][0]["results"]) == 3
    assert as_github(SEVERAL).count("\n") == 3


def test_concise_is_a_line_each() -> None:
    assert as_concise(SEVERAL) == (
        "docker/Dockerfile:1:1: StageNameCasing Stage name 'B' should be lowercase\n"
        "docker/Dockerfile:3:1: ParseError unknown instruction: BAD\n"
        "web/Dockerfile:2:5: UndefinedVar what is\n"
    )
    assert as_concise(SEVERAL[2:]) == ""


def test_colors_add_nothing_but_colors() -> None:
    for render in TEXTS.values():
        plain, colored = render(SEVERAL), render(SEVERAL, colored=True)
        assert "\x1b" not in plain
        assert colored != plain and re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain
