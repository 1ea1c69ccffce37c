"""What is written as a record is read back as the same event, for every kind there is; nothing else is taken for one."""

from __future__ import annotations

import json
import types
import typing
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazami import errors, events
from gazami.errors import Source, Span
from gazami.report.excerpt import failure
from gazami.report.records import Failure, Numbered, decode, encode, encode_failure

KINDS = typing.get_args(events.Event)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type of an event's field."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (types.UnionType, typing.Union):
        return st.one_of([st.none() if each is type(None) else values(each) for each in arguments])
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, arguments))
    if hint in (events.StepId, Span):
        return st.builds(hint, st.integers(0, 99), st.integers(1, 99))
    return {
        str: TEXT,
        bytes: st.binary(max_size=50),
        bool: st.booleans(),
        int: st.integers(-(1 << 63), (1 << 63) - 1),  # what a reader of foreign JSON takes
        float: st.floats(allow_nan=False, allow_infinity=False),
    }[hint]


def of_kind(kind: type[Any]) -> st.SearchStrategy[events.Event]:
    return st.builds(kind, **{name: values(hint) for name, hint in typing.get_type_hints(kind).items()})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_comes_back_as_it_was(kind: type[Any]) -> None:
    @given(of_kind(kind), st.integers(1, (1 << 63) - 1))
    def check(event: events.Event, number: int) -> None:
        line = encode(event, number)
        assert "\n" not in line and line.isascii()
        assert decode(line) == Numbered(number, event)

    check()


@given(TEXT)
def test_other_lines_are_no_records(line: str) -> None:
    assert decode(line) is None


@given(st.sampled_from(KINDS).flatmap(of_kind), st.data())
def test_a_damaged_record_is_no_record_and_no_error(event: events.Event, data: st.DataObject) -> None:
    document = json.loads(encode(event, 1))
    name = data.draw(st.sampled_from(sorted(document)))
    document[name] = data.draw(st.sampled_from([[], {}, "other", -1, None, [[1]], {"base64": "="}, True]))
    found = decode(json.dumps(document))
    assert found is None or isinstance(found, Numbered)


@pytest.mark.parametrize(
    "error",
    [
        errors.CommandFailed("RUN false failed", exit_code=42, hint="look"),
        errors.AuthenticationError("no", url="https://r/v2", status=401),
        errors.DockerfileError("bad", span=Span(2, 2), source=Source("Dockerfile", "FROM a\nBAD\n")),
        errors.GazamiError("plain"),
    ],
)
def test_an_error_reads_the_same_from_afar(error: errors.GazamiError) -> None:
    error.__cause__ = OSError("below")
    found = decode(encode_failure(error, 7))
    assert found is not None and isinstance(found.record, Failure)
    assert failure(found.record.error) == failure(error)
    assert found.record.error.exit_code == error.exit_code
