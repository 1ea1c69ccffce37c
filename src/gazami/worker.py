"""A thread with an owner: its starter gets its result or its failure. Nothing that a thread raises is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from gazami.cancel import Cancel
from gazami.errors import HostError

T = TypeVar("T")


class Worker(Generic[T]):
    """Runs ``work`` at once. The owner calls :meth:`result`, or :meth:`join` where it has an error of its own to raise.

    Raises :class:`HostError` when the machine has no thread left.
    """

    def __init__(self, name: str, work: Callable[[], T]) -> None:
        self._work = work
        self._results: list[T] = []
        self._failure: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError as cause:
            raise HostError(
                f"cannot start the thread {name!r}: {cause}",
                hint="raise the limit of processes (ulimit -u, or the pids limit of the container)",
            ) from cause

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def join(self, seconds: float | None = None) -> None:
        """Wait until it has ended, however it did."""
        self._thread.join(seconds)

    @property
    def failure(self) -> BaseException | None:
        """What it raised, as far as it has ended."""
        return self._failure

    def result(self, cancel: Cancel | None = None) -> T:
        """Wait for the result. Raises what the thread raised; :class:`Cancelled` once ``cancel`` is set, and the thread is left to
        end by itself."""
        if cancel is not None:
            with cancel.on_set(self._ended.set):
                self._ended.wait()
            if self._failure is None and not self._results:
                cancel.check()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:
            self._failure = error
        finally:
            self._ended.set()
