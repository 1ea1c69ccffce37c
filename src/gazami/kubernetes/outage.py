"""An API server that does not answer: how long that is borne, and who is told, once for each time that it is away.

A control plane that is upgraded is away for minutes while the pods go on. Several threads ask the same server, so that what they
meet is counted in one place.
"""

from __future__ import annotations

import threading
import time

from gazami.events import Emit, Message

_QUIET = 3.0
"""Seconds without an answer that nobody needs to hear of."""

_UNTRIED = 30.0
"""Seconds that an answer is waited for before there is a Job."""


class Outage:
    """``patience`` is in seconds, from the first question without an answer."""

    def __init__(self, server: str, patience: float, emit: Emit) -> None:
        self._server, self._patience, self._emit = server, patience, emit
        self._lock = threading.Lock()
        self._since: float | None = None
        self._said = False
        self._submitted = False

    def submitted(self) -> None:
        """There is a Job now: what is lost is more than a second's work."""
        self._submitted = True

    def failed(self, why: str) -> bool:
        """A question had no answer; whether to ask again."""
        with self._lock:
            now = time.monotonic()
            if self._since is None:
                self._since = now
            away = now - self._since
            says = away >= _QUIET and not self._said
            self._said = self._said or says
        patience = self._patience if self._submitted else min(self._patience, _UNTRIED)
        if says:
            goes_on = ", the build goes on in the cluster" if self._submitted else ""
            text = f"The API server {self._server} does not answer{goes_on}; asking again for {_span(patience)} ({why})"
            self._emit(Message("warning", text))
        return away < patience

    @property
    def lasts(self) -> bool:
        """Whether the last question had no answer."""
        return self._since is not None

    def answered(self) -> None:
        with self._lock:
            since, said = self._since, self._said
            self._since, self._said = None, False
        if said and since is not None:
            self._emit(Message("info", f"The API server answers again, after {_span(time.monotonic() - since)}"))


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
