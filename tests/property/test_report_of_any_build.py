"""Whatever events come, in whatever order: there is a report, and its page is HTML that closes what it opens."""

from __future__ import annotations

import typing
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.property.test_records import of_kind
from tests.unit.report.test_build_report import ATTRIBUTES, ELEMENTS, Reader

from gazami import events
from gazami.errors import UserError
from gazami.report.written.build_summary import document
from gazami.report.written.page import page
from gazami.report.written.timeline import Timeline
from gazami.values import replace


def made(kind: type[Any]) -> st.SearchStrategy[Any]:
    event = of_kind(kind)
    if kind is events.ImageMade:
        return event.map(lambda each: replace(each, config='{"config": {"Env": ["A=<b>"]}}', sizes=(1,) * len(each.digests)))
    return event


@given(st.lists(st.one_of([made(kind) for kind in typing.get_args(events.Event)]), max_size=30), st.booleans())
def test_a_report_of_any_events(happened: list[events.Event], failed: bool) -> None:
    timeline = Timeline()
    timeline.begin()
    for event in happened:
        timeline.note(event)
    known = document(timeline, "2026-11-28T20:00:00Z", UserError("<b>") if failed else None)
    read = Reader(page(known))
    assert read.open == [] and read.elements <= ELEMENTS and read.attributes <= ATTRIBUTES
    timeline.summary.text()
