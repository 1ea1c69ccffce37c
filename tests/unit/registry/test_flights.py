from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gazami.registry.flights import Flights


def test_one_does_the_work_for_all() -> None:
    flights: Flights[str, int] = Flights()
    gate, done = threading.Event(), []

    def work() -> int:
        gate.wait(5)
        done.append(1)
        return 7

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(flights.get, "key", work) for _ in range(4)]
        gate.set()
        assert [future.result() for future in futures] == [7] * 4
    assert done == [1]


def test_failures_are_not_remembered() -> None:
    flights: Flights[str, int] = Flights()

    def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        flights.get("key", fail)
    assert flights.get("key", lambda: 1) == 1
    flights.forget("key")
    assert flights.get("key", lambda: 2) == 2
