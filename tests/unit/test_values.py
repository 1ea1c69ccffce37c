"""The cheap decorator does what the standard one does, and in development mode it is the standard one."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from gazami import values

T = TypeVar("T")


def classes(source: Any) -> tuple[type[Any], type[Any]]:
    decorator, field = source

    @decorator(frozen=True, slots=True)
    class Point:
        """A point."""

        x: int
        y: int = 0
        label: str = field(default="", compare=False)
        secret: str = field(default="s", repr=False)
        others: list[int] = field(default_factory=list, compare=False)

        @property
        def far(self) -> bool:
            return self.x > 9

    @decorator(slots=True)
    class State:
        count: int = 0
        seen: dict[str, int] = field(default_factory=dict)
        double: int = field(init=False)

        def __post_init__(self) -> None:
            self.double = 2 * self.count

    return Point, State


OURS = (values.fast_dataclass, values.field)
BOTH = [pytest.param(OURS, id="ours"), pytest.param((dataclasses.dataclass, dataclasses.field), id="standard")]


@pytest.mark.parametrize("source", BOTH)
def test_a_value(source: Any) -> None:
    point, _ = classes(source)
    one = point(10, label="one")
    assert one == point(10, label="two") and one != point(10, 1) and one != (10, 0)
    assert hash(one) == hash(point(10)) and one.far
    assert repr(one).endswith("Point(x=10, y=0, label='one', others=[])")
    assert one.others == [] and one.others is not point(10).others
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        point()
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        point(1, z=2)
    match one:
        case point(x, y):
            assert (x, y) == (10, 0)
    assert [each.name for each in dataclasses.fields(point)] == ["x", "y", "label", "secret", "others"]
    assert dataclasses.replace(one, y=5) == point(10, 5) and point.__doc__ == "A point."
    assert not hasattr(one, "__dict__")


@pytest.mark.parametrize("source", BOTH)
def test_a_state(source: Any) -> None:
    _, state = classes(source)
    one = state(2)
    one.count = 3
    assert one.count == 3 and one.double == 4 and one != state(2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def test_fields_and_replace() -> None:
    point, state = classes(OURS)
    assert [each.name for each in values.fields(point)] == [each.name for each in values.fields(point(1))]
    assert values.replace(point(1, label="one"), x=2) == point(2) and values.replace(point(1, label="one"), x=2).label == "one"
    assert values.replace(state(2), count=3).double == 6
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        values.replace(point(1), z=2)


def test_order_and_metadata() -> None:
    @values.fast_dataclass(frozen=True, slots=True, order=True)
    class Line:
        number: int
        text: str = values.field(default="", compare=False, metadata={"of": "text"})

    assert Line(1, "b") < Line(2, "a") and Line(2) >= Line(2, "x") and max(Line(1), Line(3), Line(2)) == Line(3)
    assert [dict(each.metadata) for each in values.fields(Line)] == [{}, {"of": "text"}]
    assert [dict(each.metadata) for each in dataclasses.fields(Line)] == [{}, {"of": "text"}]


def test_a_generic_class_is_made_without_the_standard_library() -> None:
    @values.fast_dataclass(frozen=True, slots=True)
    class Box(Generic[T]):
        inner: T

    assert Box(1) != Box(2) and hash(Box(1)) == hash(Box(1)) and not hasattr(Box(1), "__dict__")


CALLS: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
    ((1,), {}), ((1, 2, "l", "s", [3]), {}), ((), {"x": 1, "others": [2]}), ((1,), {"label": "l"}),
    ((), {}), ((1, 2, "l", "s", [3], 6), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((), {"y": 1}),
)  # fmt: skip


@pytest.mark.parametrize(("given", "named"), CALLS)
def test_a_value_is_the_same_before_and_after_its_class_is_compiled(given: tuple[Any, ...], named: dict[str, Any]) -> None:
    """The first values of a class are made by a loop; a call that is wrong compiles it, since that has the words for it."""
    point, state = classes(OURS)
    seen = []
    for _ in range(20):
        try:
            one = point(*given, **named)
            seen.append(repr((one, one.secret, one.far)))
        except TypeError as error:
            seen.append(str(error))
    assert len(set(seen)) == 1
    assert len({repr(state(3)) for _ in range(20)}) == 1 and state().seen is not state().seen


def test_development_mode_has_the_standard_decorator() -> None:
    code = "import dataclasses; from gazami import values; print(values.fast_dataclass is dataclasses.dataclass)"
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDEVMODE"}
    for options, expected in ((["-X", "dev"], "True"), ([], "False")):
        done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True, env=environ)
        assert done.stdout.strip() == expected


@pytest.mark.skipif(sys.flags.dev_mode, reason="development mode has the standard decorator")
def test_what_only_the_standard_decorator_does_is_refused() -> None:
    class Constant:
        LIMIT: ClassVar[int] = 5

    class Keyword:
        x: int = values.field(kw_only=True)

    class Shared:
        x: list[int] = []  # noqa: RUF012

    @values.fast_dataclass(frozen=True, slots=True)
    class Base:
        y: int = 0

    class Derived(Base):
        x: int = 0

    for written in (Constant, Keyword, Shared, Derived):
        with pytest.raises(TypeError, match="needs the standard dataclass"):
            values.fast_dataclass(frozen=True, slots=True)(written)
