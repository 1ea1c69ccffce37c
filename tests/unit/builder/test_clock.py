from datetime import UTC, datetime

from gazami.builder.clock import Clock

NOON = datetime(2026, 1, 2, 12, 0, 0, 345, UTC)


def test_history_has_microseconds_as_dockers_has() -> None:
    assert Clock().timestamp(NOON) == "2026-01-02T12:00:00.000345Z"


def test_an_epoch_replaces_every_time() -> None:
    assert Clock(epoch=datetime.fromtimestamp(0, UTC)).timestamp(NOON) == "1970-01-01T00:00:00Z"
