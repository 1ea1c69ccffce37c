"""Errors as text."""

from __future__ import annotations

import pytest

from gazami.errors import DockerfileError, RegistryError, Source, Span, UsageError
from gazami.report.excerpt import excerpt, failure

TEXT = "FROM debian\nRUN a \\\n  b\n\nRUN c\nRUN d\n"


def test_excerpt_of_two_lines() -> None:
    assert excerpt(Source("Dockerfile", TEXT), Span(2, 3)) == (
        "Dockerfile:2\n--------------------\n   1 |     FROM debian\n   2 | >>> RUN a \\\n   3 | >>>   b\n   4 |\n"
        "   5 |     RUN c\n--------------------"
    )


@pytest.mark.parametrize("span", [Span(1, 1), Span(6, 6), Span(6, 99), Span(1, 6), Span(5, 2)])
def test_edges(span: Span) -> None:
    assert f"{span.start:4d} | >>> " in excerpt(Source("f", TEXT), span)


@pytest.mark.parametrize("span", [Span(0, 0), Span(7, 7)])
def test_outside_of_the_text(span: Span) -> None:
    assert excerpt(Source("f", TEXT), span) == f"f:{span.start}"


def test_a_long_span_is_abridged() -> None:
    rows = excerpt(Source("f", "x\n" * 100), Span(10, 90)).splitlines()
    assert len(rows) < 25 and "     | ..." in rows and "  90 | >>> x" in rows and "  92 |     x" in rows


def test_failure_has_place_cause_and_hint_in_this_order() -> None:
    error = DockerfileError("bad word", hint="quote it", span=Span(1, 1), source=Source("Dockerfile", TEXT))
    error.__cause__ = ValueError("no closing quote")
    line = failure(error)
    place, message, cause, hint = (
        line.text.index(text)
        for text in (">>> FROM", "error building image: bad word", "caused by: no closing quote", "hint: quote it")
    )
    assert place < message < cause < hint
    assert line.brief == "bad word" and line.facts["line"] == 1


def test_a_cause_that_is_said_already_is_not_repeated() -> None:
    error = RegistryError("GET failed: refused", url="https://r/v2/", status=500)
    error.__cause__ = OSError("refused")
    line = failure(error)
    assert "caused by" not in line.text and line.facts["status"] == 500


def test_usage_errors() -> None:
    assert failure(UsageError("no")).text == "Error: no"
