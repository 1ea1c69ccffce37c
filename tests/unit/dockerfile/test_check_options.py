"""``# check=`` in all its places."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gazami.dockerfile.check_options import CheckOptions, check_options, parse_check_options
from gazami.dockerfile.fix import FIXABLE
from gazami.dockerfile.parser import parse
from gazami.dockerfile.rules import (
    COPY_IGNORED_FILE,
    HABIT_RULES,
    INVALID_DEFINITION_DESCRIPTION,
    OWN_RULES,
    RULES,
    STAGE_NAME_CASING,
)
from gazami.errors import DockerfileError, Source, Span


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", CheckOptions()),
        ("skip=all", CheckOptions(skip_all=True)),
        ("skip=A,B;error=true", CheckOptions(skip=frozenset("AB"), error=True)),
        ("error=0;experimental=A", CheckOptions(experimental=frozenset("A"))),
        ("error=1;skip=A;experimental=all;x=1", CheckOptions(frozenset("A"), False, frozenset({"all;x=1"}), False, True)),
        ("experimental=all; skip = A , B", CheckOptions(skip=frozenset("AB"), experimental_all=True)),
    ],
)
def test_options_are_read(text: str, expected: CheckOptions) -> None:
    assert parse_check_options(text) == expected


@pytest.mark.parametrize("text", ["skp=A", "skip", "error=yes", "skip=A;nothing", "skip=A;error=1;experimental=all;x=1;"])
def test_other_words_are_errors(text: str) -> None:
    if text.count(";") > 2:
        assert parse_check_options(text).experimental == {"all;x=1;"}
        return
    with pytest.raises(DockerfileError, match="check option"):
        parse_check_options(text)


def test_an_error_in_the_directive_has_its_line() -> None:
    source = Source("Dockerfile", "# syntax=docker/dockerfile:1\n# check=nonsense=1\nFROM scratch\n")
    with pytest.raises(DockerfileError) as caught:
        check_options(parse(source), source, {})
    assert caught.value.span == Span(2, 2) and caught.value.source == source


def test_the_build_argument_replaces_the_directive() -> None:
    source = Source("Dockerfile", "# check=skip=all;error=true\nFROM scratch\n")
    assert check_options(parse(source), source, {}).error
    assert check_options(parse(source), source, {"BUILDKIT_DOCKERFILE_CHECK": "skip=A"}) == CheckOptions(frozenset("A"))
    with pytest.raises(DockerfileError, match="BUILDKIT_DOCKERFILE_CHECK: invalid check option 'x'"):
        check_options(parse(source), source, {"BUILDKIT_DOCKERFILE_CHECK": "x=1"})


def test_comments_add_to_the_files_options_but_never_make_an_error() -> None:
    options = CheckOptions(skip=frozenset({"A"}))
    merged = options.with_comments(("a reason", "check = skip=B;error=true;experimental=C // why"))
    assert merged == CheckOptions(skip=frozenset("AB"), experimental=frozenset("C"))
    assert options.with_comments(("check=what is this",)) is options


def test_skipping_does_not_touch_experimental_rules() -> None:
    options = CheckOptions(skip_all=True, experimental_all=True)
    assert options.allows(INVALID_DEFINITION_DESCRIPTION) and not options.allows(STAGE_NAME_CASING)
    assert not CheckOptions().allows(INVALID_DEFINITION_DESCRIPTION)


def test_the_table_of_rules() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES) == 22
    assert COPY_IGNORED_FILE.url == "https://docs.docker.com/go/dockerfile/rule/copy-ignored-file/"
    assert RULES[6].url.endswith("/json-args-recommended/")
    assert [rule.name for rule in RULES if not rule.url] == ["InvalidBaseImagePlatform"]
    assert [rule.name for rule in RULES if rule.experimental] == ["InvalidDefinitionDescription"]


def test_the_reference_page_has_a_row_for_each_rule() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "checks.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([A-Z]\w+)` \|", page, re.MULTILINE) == [
        *sorted(rule.name for rule in RULES),
        *sorted(rule.name for rule in set(OWN_RULES) - set(HABIT_RULES)),
        *sorted(rule.name for rule in HABIT_RULES),
        *sorted(rule.name for rule in FIXABLE),
    ]
