"""One log line as a value, and its three written forms: text, color and json, the formats of kaniko's logger.

The format ``events`` has no lines: see ``record_sink``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from gazami.foreign import printable_lines
from gazami.report.workflow import CI, Files
from gazami.values import fast_dataclass, field, replace

Severity = Literal["trace", "debug", "info", "warn", "error", "fatal", "panic"]
Format = Literal["text", "color", "json", "events"]

SEVERITIES: tuple[Severity, ...] = ("trace", "debug", "info", "warn", "error", "fatal", "panic")
_COLORS = {"trace": 37, "debug": 37, "info": 36, "warn": 33, "error": 31, "fatal": 31, "panic": 31}
_LONG = {"warn": "warning"}


@fast_dataclass(frozen=True, slots=True)
class Line:
    """``text`` for people, one or more lines. The JSON form has ``brief`` instead where that is set, and ``facts`` as further
    members. ``muted``: grey where there are colors."""

    severity: Severity
    text: str
    facts: Mapping[str, object] = field(default_factory=dict)
    brief: str = ""
    muted: bool = False


@fast_dataclass(frozen=True, slots=True)
class Settings:
    """How to write: the least severity that is shown, the form, and whether times are of the day or since the start. ``raw``: what
    RUN prints goes out as it is, and the lines are those of kaniko. ``ci`` is the system whose commands the log may have."""

    verbosity: Severity = "info"
    format: Format = "text"
    timestamps: bool = False
    quiet: bool = False
    raw: bool = False
    ci: CI = ""
    files: Files = field(default_factory=Files)
    failed: str = "error building image"
    """What the text of an error begins with that is not the user's."""

    def shows(self, line: Line) -> bool:
        least = max(SEVERITIES.index(self.verbosity), SEVERITIES.index("error") if self.quiet else 0)
        return SEVERITIES.index(line.severity) >= min(least, SEVERITIES.index("error"))


def written(line: Line, settings: Settings, elapsed: float, clock: str) -> str:
    """The line with its newline. ``elapsed`` is in seconds since the start, ``clock`` the time of day in RFC 3339.

    Errors are shown at every verbosity. A text of several lines stays one JSON object, and is indented in the other forms. Nothing
    in it controls the terminal.
    """
    line = replace(line, text=printable_lines(line.text))
    if settings.format == "json":
        return _json(line, clock)
    if settings.format == "text" and settings.timestamps:
        level = _LONG.get(line.severity, line.severity)
        return f'time="{clock}" level={level} msg={json.dumps(line.text, ensure_ascii=False)}\n'
    name, mark = line.severity[:4].upper(), clock if settings.timestamps else f"{int(elapsed):04d}"
    head = f"{name}[{mark}]"
    if settings.format == "color":
        if line.muted:
            return f"\x1b[90m{head} {line.text}\x1b[0m\n"
        head = f"\x1b[{_COLORS[line.severity]}m{name}\x1b[0m[{mark}]"
    return f"{head} {line.text}\n".replace("\n", "\n  ", line.text.count("\n"))


def _json(line: Line, clock: str) -> str:
    members = {"level": _LONG.get(line.severity, line.severity), "msg": line.brief or line.text, "time": clock, **line.facts}
    return json.dumps(members, ensure_ascii=False, default=str) + "\n"


def rfc3339(timestamp: float) -> str:
    """UTC, to the second."""
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(timestamp))
