"""Targets and outlines (the Dockerfiles' form is that of BuildKit's documentation of --call)."""

from __future__ import annotations

import json

from gazami.dockerfile.parser import parse
from gazami.errors import Source, Span
from gazami.image.platform import Platform
from gazami.plan.describe import TargetOutline, describe_target, describe_targets
from gazami.plan.inputs import PlanInputs
from gazami.report.described import outline_json, outline_text, targets_json, targets_text

HOST = Platform("linux", "amd64")
TEXT = """\
ARG inherited=box
ARG other=box2
ARG unused=abc${other}
# sfx is a suffix
ARG sfx="y${inherited}"
FROM bus${sfx} AS first
# this describes nothing
ARG FOO=123
# BAR is a number
ARG BAR=456
RUN --mount=type=secret,target=/etc/passwd,required=true --mount=type=ssh true
FROM alpine${unused} AS second
ARG BAZ
RUN --mount=type=secret,id=unused true
# base is what all need
FROM scratch AS base
# check=skip=all
ARG password
ARG TARGETARCH
ARG other
RUN --mount=type=secret,id=from-${FOO}$TARGETARCH true
# target is built by default
FROM --platform=$BUILDPLATFORM base AS target
COPY --from=first /a /
RUN --mount=type=ssh,id=key,required true
FROM second
"""
SOURCE = Source("Dockerfile", TEXT)


def described(target: str, text: str = TEXT, **build_args: str) -> TargetOutline:
    source = Source("Dockerfile", text)
    return describe_target(parse(source), source, PlanInputs(build_args, HOST, HOST, target))


def test_only_what_the_target_uses_is_there() -> None:
    found = described("target", BAR="678")
    assert (found.name, found.description) == ("target", "is built by default")
    assert [(arg.name, arg.value, arg.description, arg.span.start) for arg in found.args] == [
        ("inherited", "box", "", 1),
        ("other", "box2", "", 2),
        ("sfx", "ybox", "is a suffix", 5),
        ("FOO", "123", "", 8),
        ("BAR", "678", "is a number", 10),
        ("password", None, "", 18),
    ]
    assert [(use.name, use.required) for use in found.secrets] == [("passwd", True), ("from-amd64", False)]
    assert [(use.name, use.required, use.span) for use in found.ssh] == [
        ("default", False, Span(11, 11)),
        ("key", True, Span(25, 25)),
    ]


def test_the_last_declaration_counts_and_defaults_are_followed() -> None:
    text = (
        "ARG FOO=1\nARG ABC=a\nARG DEF=d\nARG FOO=${FOO}${ABC}\nARG BAR=${FOO}4\nARG FOO=${FOO}5${BAR}\n"
        "FROM scratch\nARG FOO\nARG IN=1\nARG IN=${IN}2\n"
    )
    assert [(arg.name, arg.value) for arg in described("", text).args] == [
        ("ABC", "a"),
        ("BAR", "1a4"),
        ("FOO", "1a51a4"),
        ("IN", "12"),
    ]


def test_targets_in_the_files_order() -> None:
    targets = describe_targets(parse(SOURCE))
    assert [target.name for target in targets] == ["first", "second", "base", "target", ""]
    assert [target.default for target in targets] == [False] * 4 + [True]
    assert (targets[0].base, targets[3].platform) == ("bus${sfx}", "$BUILDPLATFORM")
    assert targets_text(targets) == (
        "TARGET    DESCRIPTION\nfirst\nsecond\nbase      is what all need\ntarget    is built by default\n(default)\n"
    )
    answer = json.loads(targets_json(targets, SOURCE))
    assert answer["targets"][4] == {
        "default": True,
        "base": "second",
        "location": {"ranges": [{"start": {"line": 26}, "end": {"line": 26}}]},
    }


def test_outline_as_text_and_json() -> None:
    found = described("first")
    assert outline_text(found) == (
        "TARGET: first\n"
        "\n"
        "BUILD ARG   VALUE   DESCRIPTION\n"
        "inherited   box\n"
        "sfx         ybox    is a suffix\n"
        "FOO         123\n"
        "BAR         456     is a number\n"
        "\n"
        "SECRET   REQUIRED\n"
        "passwd   true\n"
        "\n"
        "SSH       REQUIRED\n"
        "default\n"
    )
    answer = json.loads(outline_json(found, SOURCE))
    assert set(answer) == {"name", "args", "secrets", "ssh", "sources"}
    place = {"ranges": [{"start": {"line": 11}, "end": {"line": 11}}]}
    assert answer["secrets"] == [{"name": "passwd", "required": True, "location": place}]
    assert outline_text(described("", "FROM scratch\n")) == ""
