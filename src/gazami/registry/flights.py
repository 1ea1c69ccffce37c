"""Work that several threads want at once is done by the first of them, and remembered for the rest.

This is the one device for single flight. The work is done without a lock, so it may wait for a network.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Generic, TypeVar

from gazami.errors import Cancelled

if TYPE_CHECKING:
    from concurrent.futures import Future

    from gazami.cancel import Cancel

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Flights(Generic[K, V]):
    """A memo with single flight. Failures reach everyone who waits and are not remembered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[K, Future[V]] = {}

    def get(self, key: K, work: Callable[[], V], cancel: Cancel | None = None) -> V:
        """The result of ``work``, of this call or of an earlier one. ``cancel`` ends the wait for another thread's work; where that
        one was cancelled and this one is not, the work begins again here."""
        from concurrent.futures import Future

        while True:
            with self._lock:
                flight = self._flights.get(key)
                mine = flight is None
                if flight is None:
                    flight = self._flights[key] = Future()
            if mine:
                return self._fly(key, flight, work)
            try:
                return _landed(flight, cancel)
            except Cancelled:
                if cancel is None or cancel.is_set:
                    raise

    def forget(self, key: K, flown: V | None = None) -> None:
        """Forget a result; with ``flown``, only if it still is that one."""
        with self._lock:
            flight = self._flights.get(key)
            if flown is None or (flight is not None and flight.done() and flight.result() is flown):
                self._flights.pop(key, None)

    def _fly(self, key: K, flight: Future[V], work: Callable[[], V]) -> V:
        try:
            result = work()
        except BaseException as error:
            self.forget(key)
            flight.set_exception(error)
            raise
        flight.set_result(result)
        return result


def _landed(flight: Future[V], cancel: Cancel | None) -> V:
    if cancel is not None and not flight.done():
        woken = threading.Event()
        flight.add_done_callback(lambda _: woken.set())
        with cancel.on_set(woken.set):
            woken.wait()
        cancel.check()
    return flight.result()
