"""Variables that remember who asked for them, and what a text became with them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from gazami.values import fast_dataclass

Part = Literal["text", "source", "port"]


class Recorder(Mapping[str, str]):
    """Variables that remember which names were asked for, in any form (``$x``, ``${x:-y}``, ``${x#y}``)."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.found: dict[str, None] = {}
        self.missing: dict[str, None] = {}

    def __getitem__(self, name: str) -> str:
        if name in self._values:
            self.found[name] = None
            return self._values[name]
        self.missing[name] = None
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@fast_dataclass(frozen=True, slots=True)
class Text:
    """One text, expanded. ``missing`` are the names that have no value; in a stage without those that an ARG declares."""

    text: str
    words: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    part: Part = "text"
