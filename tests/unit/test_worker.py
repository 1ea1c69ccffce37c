"""A thread's result or failure reaches its owner."""

from __future__ import annotations

import threading

import pytest

from gazami.errors import HostError
from gazami.worker import Worker


def test_the_result() -> None:
    assert Worker("w", lambda: 7).result() == 7


def test_the_failure_as_often_as_it_is_asked_for() -> None:
    def fail() -> None:
        raise SystemExit("as bad as it gets")

    worker = Worker("w", fail)
    for _ in range(2):
        with pytest.raises(SystemExit, match="as bad"):
            worker.result()
    assert isinstance(worker.failure, SystemExit)
    assert not worker.is_running


def test_a_machine_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(HostError, match="cannot start the thread 'w'"):
        Worker("w", lambda: None)
