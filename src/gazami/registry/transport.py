"""Requests over the wire, and trying again.

:meth:`Transport.exchange` makes one attempt (``exchange``) and raises :class:`ConnectionFault` when no answer came;
:meth:`Transport.persist` repeats an attempt as ``retry`` decides. Redirects and authorization are the session's. Every build
has a transport and many send no request, so what a request needs is imported with the first one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gazami.cancel import Cancel
from gazami.events import Emit, Message
from gazami.registry.retry import AT_NOBODY, RETRYABLE, RetryPolicy, pause_after

if TYPE_CHECKING:
    from gazami.registry.exchange import Connections, Request, Response
    from gazami.registry.options import RegistryOptions
    from gazami.registry.routing import Trust

SENDING = 4
"""Blobs whose bytes are sent at the same time, as docker and kaniko do; mounts and look-ups do not count."""


class Transport:
    """Connections to every host that a build speaks to; safe to use from several threads."""

    def __init__(self, options: RegistryOptions, emit: Emit, cancel: Cancel) -> None:
        self._cancel = cancel
        self._local = threading.local()
        self.sending = Slots(SENDING)
        """Taken by whoever sends a blob's bytes."""
        self._options = options
        self._emit = emit
        self._lock = threading.Lock()
        self.requests = 0
        """Attempts so far, of all threads."""
        self.schemes: dict[str, str] = {}
        """What near hosts were found to speak."""
        self._open: Connections | None = None

    @property
    def cancel(self) -> Cancel:
        """The switch that ends what the calling thread does here."""
        stop: Cancel | None = getattr(self._local, "stop", None)
        return stop or self._cancel

    @contextlib.contextmanager
    def obeying(self, stop: Cancel) -> Iterator[None]:
        """A context in which the requests of this thread end when ``stop`` is set, too: those of a stage, of an upload."""
        before, both = self.cancel, Cancel()
        if stop is before:
            yield
            return
        with before.on_set(lambda: both.set(before.reason)), stop.on_set(lambda: both.set(stop.reason)):
            kept, self._local.stop = getattr(self._local, "stop", None), both
            try:
                yield
            finally:
                self._local.stop = kept

    def exchange(self, request: Request, trust: Trust) -> Response:
        """One attempt; the status may be any. Raises :class:`ConnectionFault` when no answer came."""
        with self._lock:
            self.requests += 1
        return self._connections().exchange(request, trust, self.cancel)

    def persist(self, attempt: Callable[[], Response], attempts: int | None = None) -> Response:
        """Repeat ``attempt`` while it meets faults and statuses that may pass, at most ``attempts`` times in all where
        that is less than the policy allows.

        Returns the last answer, also when its status is still one of those. Raises :class:`TransportError`.
        """
        from gazami.registry.faults import ConnectionFault
        from gazami.registry.wire import host_in

        failures = 0
        while True:
            self.cancel.check()
            retry_after: float | None = None
            try:
                response = attempt()
            except ConnectionFault as fault:
                failures += 1
                most = self._most(attempts, at_nobody=fault.is_nobody)
                pause = self.pause(failures) if not fault.is_final and failures != most else None
                if pause is None:
                    raise fault.after(failures) from fault.__cause__
                reason = str(fault)
            else:
                if response.status not in RETRYABLE:
                    return response
                failures += 1
                retry_after = self.retry_after(response)
                pause = self.pause(failures, retry_after) if failures != attempts else None
                if pause is None:
                    return response
                response.close()
                reason = f"{host_in(response.url)}: status {response.status}"
            self._emit(Message("info", f"{reason}; trying again in {pause:.1f} s"))
            self.wait(pause)

    def _most(self, attempts: int | None, *, at_nobody: bool) -> int | None:
        """Fewer where nothing listens on this machine, unless the user has said how often to try."""
        return min(attempts or AT_NOBODY, AT_NOBODY) if at_nobody and self._options.retry == RetryPolicy() else attempts

    def pause(self, failures: int, retry_after: float | None = None) -> float | None:
        import random

        return pause_after(failures, self._options.retry, random.random(), retry_after)

    def retry_after(self, response: Response) -> float | None:
        from gazami.registry.wire import parse_retry_after

        return parse_retry_after(response.header("Retry-After"), time.time())

    def wait(self, seconds: float) -> None:
        """Sleep. Raises :class:`Cancelled` as soon as the build is."""
        if self.cancel.wait(seconds):
            self.cancel.check()

    def close(self) -> None:
        with self._lock:
            if self._open is not None:
                self._open.close()

    def is_plain(self, host: str) -> bool:
        """Whether a near registry certainly does not speak TLS."""
        return self._connections().is_plain(host, self.cancel)

    def _connections(self) -> Connections:
        from gazami.registry.exchange import Connections

        with self._lock:
            if self._open is None:
                self._open = Connections(self._options)
            return self._open


class Slots:
    """A limit on how many work at a time. A waiting thread wakes when the build stops."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def one(self, cancel: Cancel) -> Iterator[None]:
        """Hold one of them. Raises :class:`Cancelled` while it waits."""
        with cancel.on_set(self._wake), self._changed:
            self._changed.wait_for(lambda: self._left > 0 or cancel.is_set)
            cancel.check()
            self._left -= 1
        try:
            yield
        finally:
            with self._changed:
                self._left += 1
                self._changed.notify()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
