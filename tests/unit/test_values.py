"""The cheap decorator does what the standard one does, and in development mode it is the standard one."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest

from gazami import values


def classes(decorator: Any) -> tuple[type[Any], type[Any]]:
    @decorator(frozen=True, slots=True)
    class Point:
        """A point."""

        x: int
        y: int = 0
        label: str = values.field(default="", compare=False)
        secret: str = values.field(default="s", repr=False)
        others: list[int] = values.field(default_factory=list, compare=False)

        @property
        def far(self) -> bool:
            return self.x > 9

    @decorator(slots=True)
    class State:
        count: int = 0
        seen: dict[str, int] = values.field(default_factory=dict)
        double: int = values.field(init=False)

        def __post_init__(self) -> None:
            self.double = 2 * self.count

    return Point, State


BOTH = [pytest.param(values.fast_dataclass, id="ours"), pytest.param(dataclasses.dataclass, id="standard")]


@pytest.mark.parametrize("decorator", BOTH)
def test_a_value(decorator: Any) -> None:
    point, _ = classes(decorator)
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


@pytest.mark.parametrize("decorator", BOTH)
def test_a_state(decorator: Any) -> None:
    _, state = classes(decorator)
    one = state(2)
    one.count = 3
    assert one.count == 3 and one.double == 4 and one != state(2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def test_development_mode_has_the_standard_decorator() -> None:
    code = "import dataclasses; from gazami import values; print(values.fast_dataclass is dataclasses.dataclass)"
    for options, expected in ((["-X", "dev"], "True"), ([], "False")):
        done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected
