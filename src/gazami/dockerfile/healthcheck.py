"""The grammar of HEALTHCHECK: flags with durations before ``CMD command``, or ``NONE``."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.dockerfile.arguments import command_line, first_word
from gazami.dockerfile.duration import parse_duration
from gazami.dockerfile.flags import FlagValue, parse_flags
from gazami.dockerfile.instructions import Healthcheck, Written
from gazami.errors import DockerfileError

_DURATIONS = ("interval", "timeout", "start-period", "start-interval")


def parse_healthcheck(written: Written, flags: tuple[str, ...], rest: str) -> Healthcheck:
    """``flags`` are the flag words. Raises :class:`DockerfileError` without a span."""
    form, command = first_word(rest) if rest else ("", "")
    if not form:
        raise DockerfileError("HEALTHCHECK requires at least one argument", hint="HEALTHCHECK CMD command, or NONE")
    if form.upper() == "NONE":
        if command:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(written, ("NONE",))
    given = parse_flags(flags, dict.fromkeys((*_DURATIONS, "retries"), "string"))
    if form.upper() != "CMD":
        raise DockerfileError(f"Unknown type {form!r} in HEALTHCHECK (try CMD)")
    parsed = command_line(command)
    if not command or not parsed.words:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    test = ("CMD-SHELL", parsed.words[0]) if parsed.shell else ("CMD", *parsed.words)
    durations = {name.replace("-", "_"): _duration(name, given) for name in _DURATIONS}
    return Healthcheck(written, test, **durations, retries=_retries(given))


def _duration(name: str, given: Mapping[str, FlagValue]) -> int:
    text = str(given.get(name, ""))
    if not text:
        return 0
    value = parse_duration(text)
    if value is None:
        raise DockerfileError(f"invalid duration {text!r} for --{name}", hint="a number and a unit: 30s, 1m30s, 500ms")
    if value < 0:
        raise DockerfileError(f"Interval {text!r} for --{name} must not be negative")
    if 0 < value < 10**6:
        raise DockerfileError(f"Interval {text!r} for --{name} cannot be less than 1ms")
    return value


def _retries(given: Mapping[str, FlagValue]) -> int:
    text = str(given.get("retries", ""))
    if not text:
        return 0
    try:
        value = int(text) if text.isascii() and "_" not in text else -1
    except ValueError:
        raise DockerfileError(f"--retries must be a number, not {text!r}") from None
    if not 0 <= value < 1 << 31:
        raise DockerfileError(f"--retries cannot be negative ({text})")
    return value
