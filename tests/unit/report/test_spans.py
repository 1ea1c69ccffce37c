"""A build as spans: who is whose child, when, and what a trace context says."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from tests.unit.report.test_build_report import DIGEST, DOCUMENTS, EVIL

from gazami.report.written.spans import Parent, export_request, parent_of, spans

TRACE, SPAN, NEW = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "a" * 32
BEGAN = 1_800_000_000_000_000_000


def made(name: str, evil: str = "text", parent: Parent = Parent()) -> list[dict[str, Any]]:  # noqa: B008
    return spans(DOCUMENTS[name](evil), parent, NEW, BEGAN, (f"{n:016x}" for n in itertools.count(1)))


@pytest.mark.parametrize("evil", ["text", EVIL], ids=["plain", "hostile"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_spans_are_a_tree_of_one_trace(name: str, evil: str) -> None:
    found = made(name, evil)
    ids = [each["spanId"] for each in found]
    assert len(set(ids)) == len(ids)
    assert {each["traceId"] for each in found} == {NEW}
    assert [each["name"] for each in found if "parentSpanId" not in each] == ["build"]
    for each in found[1:]:
        assert each["parentSpanId"] in ids[: ids.index(each["spanId"])]
    for each in found:
        assert BEGAN <= int(each["startTimeUnixNano"]) <= int(each["endTimeUnixNano"])
    assert json.loads(json.dumps(export_request(found, {"service.name": "gazami"})))


def test_what_the_spans_of_a_build_are() -> None:
    by_name = {each["name"]: each for each in made("good")}
    assert {"build", "stage text", "COPY a /", "RUN text", "look up", "wait for another build", "base", "snapshot", "pull"} <= set(
        by_name
    )
    step, snapshot = by_name["RUN text"], by_name["snapshot"]
    assert by_name["base"]["parentSpanId"] == by_name["COPY a /"]["spanId"]
    assert int(snapshot["startTimeUnixNano"]) - BEGAN == pytest.approx(3.6e9)
    assert step["status"] == {"code": 1}
    values = {each["key"]: each["value"] for each in by_name["build"]["attributes"]}
    assert values["gazami.image.digest"] == {"stringValue": DIGEST}
    assert values["gazami.requests"] == {"intValue": "12"}


def test_a_failure_is_an_error_of_its_step_and_of_the_build() -> None:
    failed = [each["name"] for each in made("bad") if each["status"]["code"] == 2]
    assert failed == ["build", "RUN text"]


def test_the_span_of_the_caller_is_the_parent() -> None:
    parent = parent_of(f"00-{TRACE}-{SPAN}-01")
    assert parent == Parent(TRACE, SPAN, sampled=True)
    found = made("good", parent=parent)
    assert {each["traceId"] for each in found} == {TRACE}
    assert found[0]["parentSpanId"] == SPAN
    assert not parent_of(f"00-{TRACE}-{SPAN}-00").sampled
    assert parent_of(f"01-{TRACE}-{SPAN}-03-of-a-later-version").sampled


@pytest.mark.parametrize(
    "text",
    [
        "", "x", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}-{SPAN}",
    ],
)  # fmt: skip
def test_what_is_no_trace_context_is_none(text: str) -> None:
    assert parent_of(text) == Parent()
