"""Whether and when to try again: exponential backoff with jitter, and the registry's own Retry-After. No I/O."""

from __future__ import annotations

from gazami.values import fast_dataclass

RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that a later attempt may not meet."""

AT_NOBODY = 3
"""Attempts at a port of this machine on which nothing listens: a registry that begins with the job is up a second later, and who
has made a typing error does not want to wait longer."""

LONGEST_RETRY_AFTER = 120.0
"""Seconds; a registry that asks for more is not waited for."""


@fast_dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``attempts`` counts the first one. The pause after failure n is ``base * 2**(n-1)`` seconds, at most ``cap``."""

    attempts: int = 5
    base: float = 0.5
    cap: float = 30.0


def pause_after(failures: int, policy: RetryPolicy, jitter: float, retry_after: float | None = None) -> float | None:
    """Seconds to wait before the next attempt after ``failures`` failed ones, or None to give up.

    ``jitter`` in [0, 1) spreads the pause over 75 % to 125 % of its nominal length, so that parallel builds do not
    return in step. A Retry-After is kept at the least, and never cut short.
    """
    if failures >= policy.attempts:
        return None
    if retry_after is not None and retry_after > LONGEST_RETRY_AFTER:
        return None
    nominal = min(policy.cap, policy.base * 2.0 ** min(failures - 1, 30))
    pause = nominal * (0.75 + jitter / 2)
    return pause if retry_after is None else max(pause, retry_after)
