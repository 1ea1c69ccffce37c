"""The three forms of a log line, and units."""

from __future__ import annotations

import json

import pytest

from gazami.foreign import printable
from gazami.report import units
from gazami.report.line import Line, Settings, written


def form(line: Line, **settings) -> str:
    return written(line, Settings(**settings), 12.7, "2026-01-02T03:04:05Z")


def test_forms() -> None:
    line = Line("info", 'say "hi"')
    assert form(line) == 'INFO[0012] say "hi"\n'
    assert form(line, timestamps=True) == 'time="2026-01-02T03:04:05Z" level=info msg="say \\"hi\\""\n'
    assert form(line, format="color") == '\x1b[36mINFO\x1b[0m[0012] say "hi"\n'
    assert form(line, format="color", timestamps=True).startswith("\x1b[36mINFO\x1b[0m[2026-01-02T03:04:05Z] ")


def test_json_has_facts_and_one_line() -> None:
    text = form(Line("warn", "two\nlines", {"step": 3}), format="json")
    assert text.count("\n") == 1
    assert json.loads(text) == {"level": "warning", "msg": "two\nlines", "time": "2026-01-02T03:04:05Z", "step": 3}
    assert json.loads(form(Line("info", "long", brief="short"), format="json"))["msg"] == "short"


def test_further_lines_are_indented() -> None:
    assert form(Line("info", "a\nb\nc")) == "INFO[0012] a\n  b\n  c\n"


@pytest.mark.parametrize(
    "settings, shown",
    [
        (Settings("debug"), {"debug", "info", "warn", "error"}),
        (Settings("warn"), {"warn", "error"}),
        (Settings("panic"), {"error"}),
        (Settings("debug", quiet=True), {"error"}),
    ],
)
def test_verbosity(settings: Settings, shown: set[str]) -> None:
    assert {level for level in ("trace", "debug", "info", "warn", "error") if settings.shows(Line(level, ""))} == shown


def test_units() -> None:
    assert [units.size(n) for n in (0, 999, 1000, 31_400_000, 2.5e12)] == ["0 B", "999 B", "1.0 kB", "31.4 MB", "2.5 TB"]
    assert units.size(999_960_000) == "1.0 GB"
    assert [units.seconds(s) for s in (0.04, 59.9, 59.96, 125, 3720)] == ["0.0s", "59.9s", "1m00s", "2m05s", "1h02m"]
    assert units.amount(12000, None, "files") == "12 000 files"
    assert units.amount(1000, 2000, "bytes") == "1.0 kB of 2.0 kB"


def test_printable() -> None:
    assert printable("\x1b[2J\x1b]0;title\x07a\tb\x07\x1b[31mc\r") == "a\tbc"
