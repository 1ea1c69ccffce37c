"""A mapping of names to values that every instruction changes a little: each version stays as it was, and they share all.

A Dockerfile of n variables has n scopes, which as dictionaries of their own would need n² entries. Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Versions(Mapping[str, Value], Generic[Value]):
    """Immutable; :meth:`having` makes the next one. Names are in the order in which they were first set."""

    __slots__ = ("_latest", "_set", "_version")

    def __init__(self, values: Mapping[str, Value] | Iterable[tuple[str, Value]] = ()) -> None:
        self._set: dict[str, tuple[list[int], list[Value]]] = {name: ([0], [value]) for name, value in dict(values).items()}
        self._version = 0
        self._latest = [0]

    def having(self, pairs: Iterable[tuple[str, Value]]) -> Versions[Value]:
        """This mapping with some names set. Costs as much as there are pairs, and a copy where two go on from one version."""
        base = self if self._latest[0] == self._version else Versions(self)
        new: Versions[Value] = Versions()
        new._set, new._latest, new._version = base._set, base._latest, base._version + 1
        new._latest[0] = new._version
        for name, value in pairs:
            versions, values = new._set.setdefault(name, ([], []))
            versions.append(new._version)
            values.append(value)
        return new

    def __getitem__(self, name: str) -> Value:
        versions, values = self._set[name]
        at = bisect_right(versions, self._version)
        if not at:
            raise KeyError(name)
        return values[at - 1]

    def __iter__(self) -> Iterator[str]:
        for name, (versions, _) in self._set.items():
            if versions[0] > self._version:
                return
            yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)
