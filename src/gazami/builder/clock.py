"""The times of an image: those of its history, and the latest that its new files may have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class Clock:
    """``epoch`` replaces all times of config and history (SOURCE_DATE_EPOCH). ``newest``, in seconds, is the latest time that a
    file of a new layer may have; None: any."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    epoch: datetime | None = None
    newest: int | None = None

    def timestamp(self, when: datetime) -> str:
        """RFC 3339, as Docker writes history times."""
        if self.epoch is not None:
            return self.epoch.strftime("%Y-%m-%dT%H:%M:%SZ")
        return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
