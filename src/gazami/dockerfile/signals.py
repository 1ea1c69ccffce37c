"""Names of Linux signals, as STOPSIGNAL accepts them: with or without SIG, in any case, real-time ones included."""

from __future__ import annotations

_PLAIN = (
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP "
    "TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX"
)
_NAMES = frozenset([*_PLAIN.split(" "), *(f"RTMIN+{n}" for n in range(1, 16)), *(f"RTMAX-{n}" for n in range(1, 15))])


def is_signal(text: str) -> bool:
    """A known name or a number other than 0."""
    if text.lstrip("-").isdigit() and text.isascii():
        return int(text) != 0
    return text.upper().removeprefix("SIG") in _NAMES
