"""Work that several threads want at once is done by the first of them, and remembered for the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Flights(Generic[K, V]):
    """A memo with single flight. Failures reach everyone who waits and are not remembered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[K, Future[V]] = {}

    def get(self, key: K, work: Callable[[], V]) -> V:
        with self._lock:
            flight = self._flights.get(key)
            mine = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if mine:
            try:
                flight.set_result(work())
            except BaseException as error:
                self.forget(key)
                flight.set_exception(error)
                raise
        return flight.result()

    def forget(self, key: K) -> None:
        with self._lock:
            self._flights.pop(key, None)
