"""The bytes behind a URL over a connection that may break: after a cut, request the rest.

A server that ignores Range sends everything from the start, and the known part is skipped. The caller makes each request anew,
since an address that a registry redirects to may have expired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeAlias

from gazami.registry.exchange import Response
from gazami.registry.faults import ConnectionFault
from gazami.registry.transport import Transport

Ask: TypeAlias = Callable[[int], AbstractContextManager[tuple[Response, int]]]
"""From the bytes that there are to an answer and the offset of its body's first byte. Raises refusals."""


def resumed(
    ask: Ask,
    transport: Transport,
    *,
    done: int = 0,
    size: int | None = None,
    attempts: int | None = None,
    in_a_row: bool = False,
    what: str = "",
) -> Iterator[bytes]:
    """The bytes after the first ``done`` ones, in chunks as they come. Without a ``size`` the end of a body is the end.

    ``attempts`` bounds the transport's own patience; ``in_a_row``: a failure after new bytes counts as the first. Raises
    :class:`TransportError`, which says that ``what`` could not be done, and what ``ask`` raises.
    """
    failures = 0
    while True:
        before = done
        with ask(done) as (response, start):
            skip = done - start
            fault: ConnectionFault | None = None
            try:
                for chunk in response.chunks():
                    transport.cancel.check()
                    fresh = chunk[skip:]
                    skip -= len(chunk) - len(fresh)
                    if fresh:
                        done += len(fresh)
                        yield fresh
                if size is not None and done < size:
                    fault = ConnectionFault("cut", f"the blob ended after {done} of {size} bytes", response.url)
            except ConnectionFault as cut:
                fault = cut
        if fault is None or done == size:
            return
        failures = 1 if in_a_row and done > before else failures + 1
        pause = transport.pause(failures)
        if pause is None or failures == attempts:
            raise fault.after(failures, what) from fault.__cause__
        transport.wait(pause)
