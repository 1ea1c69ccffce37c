"""Go's duration text (``1m30s``, ``500ms``) in nanoseconds."""

from __future__ import annotations

import re

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_TERM = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"[-+]?(?:{_TERM.pattern})+\Z")


def parse_duration(text: str) -> int | None:
    """Nanoseconds, or None when the text is not a duration. ``0`` needs no unit."""
    if text in ("0", "+0", "-0"):
        return 0
    if not _WHOLE.match(text):
        return None
    total = 0
    for number, unit in _TERM.findall(text):
        whole, _, fraction = number.partition(".")
        total += int(whole or 0) * _UNITS[unit]
        if fraction:
            total += int(fraction) * _UNITS[unit] // 10 ** len(fraction)
    return -total if text.startswith("-") else total


def format_duration(nanoseconds: int) -> str:
    """As Go prints it: ``1m30s``, ``1.5s``, ``0s``."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 0:
        return "-" + format_duration(-nanoseconds)
    if nanoseconds < 10**9:
        unit, size = next((u, _UNITS[u]) for u in ("ms", "µs", "ns") if nanoseconds >= _UNITS[u])
        return _decimal(nanoseconds, size) + unit
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    seconds = _decimal(rest, 10**9) + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0")
