"""Bytes, rates, times and counts as people read them."""

from __future__ import annotations


def size(count: float) -> str:
    """Decimal units, as docker prints them: ``812 B``, ``4.2 kB``, ``31.4 MB``."""
    if count < 1000:
        return f"{int(count)} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


def seconds(value: float) -> str:
    """``0.3s``, ``41.0s``, ``2m05s``, ``1h02m``."""
    value = max(0.0, value)
    if value < 59.95:
        return f"{value:.1f}s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def number(count: int) -> str:
    """Thousands apart by a space: ``312 000``."""
    return f"{count:,}".replace(",", " ")


def amount(done: int, total: int | None, unit: str) -> str:
    """``3.0 MB of 9.1 MB``, ``12 000 files``."""

    def one(count: int) -> str:
        return size(count) if unit == "bytes" else f"{number(count)} {unit}".strip()

    return f"{one(done)} of {one(total)}" if total else one(done)
