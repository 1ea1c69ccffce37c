"""Whatever others say, the log keeps its lines and the terminal its state."""

from __future__ import annotations

import io

import pytest

from gazami import events
from gazami.errors import RegistryError, Source, Span
from gazami.registry.refusal import Refusal, error_of
from gazami.registry.wire import parse_error
from gazami.report.excerpt import failure
from gazami.report.line import Format, Line, Settings, written
from gazami.report.plain import PlainSink, Streams

EVIL = "\x1b]0;pwn\x07\x1b[2J\u202egnp\x9b31m\x08"


@pytest.mark.parametrize("form", ["text", "color", "json"])
def test_no_sink_passes_it_on(form: Format) -> None:
    out, err = io.BytesIO(), io.BytesIO()
    sink = PlainSink(Settings(format=form), Streams(out, err), heartbeat=False)
    sink.emit(events.Message("warning", f"the registry said {EVIL}"))
    sink.fail(RegistryError(f"the registry said {EVIL}", hint=EVIL).at(Span(1, 1), Source(EVIL, f"RUN {EVIL}\n")))
    sink.close()
    said = err.getvalue().decode().replace("\x1b[33mWARN\x1b[0m", "WARN")
    assert "the registry said gnp" in said
    assert not any(each in said for each in "\x1b\x07\u202e\x9b\x08")


def test_the_control_is_a_line_as_it_would_be() -> None:
    assert "\x1b" in f"WARN[0000] the registry said {EVIL}\n"
    assert written(Line("warn", EVIL), Settings(), 0, "") == "WARN[0000] gnp\n"


def test_a_registry_cannot_begin_a_line() -> None:
    for body in (
        b'{"errors":[{"code":"DENIED\\n::a::","message":"x\\n::set-output name=y::z","detail":"d\\r::b::"}]}',
        b'{"error":"x\\n::a::b","error_description":"\\u2028::c::d"}',
        b'{"message":["\\n::a::b"]}',
        b"plain\n::a::b\r::c::d",
    ):
        error = error_of(Refusal("pull", "https://r.example/", 403, parse_error(body)))
        lines = failure(error).text.splitlines()
        assert not any(line.lstrip().startswith("::") for line in lines), lines
        assert "::" in lines[0]


def test_a_message_of_gazamis_own_keeps_its_lines() -> None:
    assert failure(RegistryError("one\ntwo")).text == "error building image: one\ntwo"
