"""One builder for each step: who else has the step in hand is waited for, within bounds (``--cache-lease``).

A lease saves work and is never needed: where the cache keeps none, or leases fail, this build does all its steps itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal, TypeVar

from gazami.cache.keys import Key
from gazami.cache.lease import Acquired, Held, Leases
from gazami.errors import Cancelled, GazamiError
from gazami.events import Emit, Message, StepId, StepWaited, StepWaiting
from gazami.values import fast_dataclass, field

T = TypeVar("T")


@fast_dataclass(slots=True)
class StepLeases:
    """``name`` is the cache's. ``asked``: the user wants leases, and is told when there can be none."""

    leases: Leases
    name: str
    emit: Emit
    asked: bool
    _held: dict[Key, Held] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _off: bool = False

    def acquire(self, key: Key, step: StepId, text: str, look_up: Callable[[], T | None]) -> T | None:
        """What another build made of the step meanwhile; None if this one is to make it, with the lease if there is one."""
        if self._off:
            return None
        began: list[float] = []

        def waiting() -> None:
            began.append(time.monotonic())
            self.emit(StepWaiting(step, text))

        acquired: Acquired[T] = Acquired()
        try:
            acquired = self.leases.acquire(key, look_up, waiting)
        except Cancelled:
            raise
        except (GazamiError, OSError) as error:
            self._turn_off(error)
        if began:
            self.emit(StepWaited(step, time.monotonic() - began[0], _how(acquired)))
        if acquired.held is not None:
            with self._lock:
                self._held[key] = acquired.held
        return acquired.found

    def ended(self, key: Key, *, stored: bool) -> None:
        """Give a lease back: the cache has the layer, or will not have it."""
        with self._lock:
            held = self._held.pop(key, None)
        if held is not None:
            held.release(stored=stored)

    def give_up(self) -> None:
        """Give all leases back: nobody is to wait for this build any more."""
        with self._lock:
            held, self._held = list(self._held.values()), {}
        for each in held:
            each.release(stored=False)

    def close(self) -> None:
        self.give_up()
        self.leases.close()

    def _turn_off(self, error: GazamiError | OSError) -> None:
        with self._lock:
            off, self._off = self._off, True
        if not off:
            said = f"no leases in the cache {self.name}, so steps that other builds are making are made here too: {error}"
            self.emit(Message("warning" if self.asked else "debug", said))


def _how(acquired: Acquired[T]) -> Literal["found", "took over", "failed", "late"]:
    if acquired.found is not None:
        return "found"
    if acquired.held is not None:
        return "took over"
    return "late" if acquired.late else "failed"
