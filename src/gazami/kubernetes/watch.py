"""Looks at a running pod every few seconds, from a thread of its own, while its log is read.

Why a pod is taken away is said in its status for about a second, until it is gone; and the log of a node that was lost is silent
for ever. A look that fails means nothing: whoever needs an answer asks for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from gazami.kubernetes.taken import being_taken
from gazami.worker import Worker

_EVERY = 3.0
_STUCK = 90.0
"""Seconds after which a pod that is being taken away, yet does not end, has lost its node."""


class Watch:
    """A context manager; ``look`` is the pod, or None when it is not known."""

    def __init__(self, look: Callable[[], Mapping[str, Any] | None]) -> None:
        self._look = look
        self._wake = threading.Event()
        self._closed = False
        self._since: float | None = None
        self.leaving: Mapping[str, Any] | None = None
        """The pod as it was seen last while it was being taken away."""

    @property
    def stuck(self) -> bool:
        return self._since is not None and time.monotonic() - self._since > _STUCK

    def look_now(self) -> None:
        """The log says that something happens to the pod."""
        self._wake.set()

    def note(self, pod: Mapping[str, Any]) -> None:
        if being_taken(pod):
            self.leaving = pod
            self._since = self._since or time.monotonic()

    def __enter__(self) -> Watch:
        Worker("pod", self._run)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed = True
        self._wake.set()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(_EVERY)
            self._wake.clear()
            if not self._closed and (pod := self._look()) is not None:
                self.note(pod)
