"""The events of one blob on its way, not more often than a display can use them."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from gazami.errors import Cancelled
from gazami.events import Emit, TransferFinished, TransferProgress, TransferStarted
from gazami.image.manifest import Descriptor
from gazami.image.reference import Reference
from gazami.registry.options import Direction

INTERVAL = 0.2
"""Seconds between two progress events of one transfer."""


class Progress:
    """A context manager around the transfer: leaving it with an error, or without ``finish``, says that it failed."""

    def __init__(
        self,
        emit: Emit,
        direction: Direction,
        reference: Reference,
        descriptor: Descriptor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emit = emit
        self._clock = clock
        self._direction: Direction = direction
        self._where = reference.context
        self._descriptor = descriptor
        self._key = f"{direction} {reference.context}@{descriptor.digest}"
        self._how: Literal["moved", "mounted", "exists", "failed", "cancelled"] = "failed"
        self._began = self._shown = 0.0

    def __enter__(self) -> Progress:
        self._began = self._clock()
        size = self._descriptor.size
        self._emit(TransferStarted(self._key, self._direction, self._descriptor.digest, self._where, size))
        return self

    def reached(self, done: int) -> None:
        """``done`` bytes are over; it may be less than before when a transfer starts again."""
        now = self._clock()
        if now - self._shown >= INTERVAL:
            self._shown = now
            self._emit(TransferProgress(self._key, done))

    def finish(self, how: Literal["moved", "mounted", "exists"]) -> None:
        self._how = how

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        how = self._how
        if error is not None:
            how = "cancelled" if isinstance(error, Cancelled | GeneratorExit) else "failed"
        self._emit(TransferFinished(self._key, how, self._descriptor.size, self._clock() - self._began))
