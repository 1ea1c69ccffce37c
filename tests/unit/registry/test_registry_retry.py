from __future__ import annotations

from gazami.registry.retry import RetryPolicy, pause_after

POLICY = RetryPolicy(attempts=4, base=1.0, cap=3.0)


def test_pauses_double_up_to_the_cap_and_end() -> None:
    assert [pause_after(failures, POLICY, 0.5) for failures in range(1, 5)] == [1.0, 2.0, 3.0, None]


def test_jitter_spreads_by_a_quarter() -> None:
    assert pause_after(1, POLICY, 0.0) == 0.75
    assert pause_after(2, POLICY, 1.0) == 2.5


def test_retry_after_is_the_least_and_has_a_limit() -> None:
    assert pause_after(1, POLICY, 0.5, 40) == 40
    assert pause_after(1, POLICY, 0.5, 0) == 1.0
    assert pause_after(1, POLICY, 0.5, 3600) is None
