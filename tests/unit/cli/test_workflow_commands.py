"""What GitHub's runner takes for commands: ours alone, and they say what they are meant to say."""

from __future__ import annotations

import io
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazami.cli.workflow_commands import Barred, command, masks, no_commands


def commands_of(log: str) -> list[str]:
    """The lines that the runner carries out: its reader splits at CR and LF, then ActionCommand.TryParseV2 and TryParse."""
    lines = re.split(r"\r\n|\r|\n", log)
    return [line for line in lines if line.lstrip().startswith("::") or re.search(r"##\[[^\]]+\]", line)]


HOSTILE = (
    b"::set-output name=x::y\n", b"  ::error::x\n", b"\t::stop-commands::t\n", b"\xc2\xa0::add-mask::x\n",
    b"\xe3\x80\x80::debug::x\n",
    b"a\r::error::x\n", b"##[add-mask]x\n", b"text ##[error]x\n", b"####[error]x\n", b"\x0b::x::y", b"\xe2\x80\xa8::error::x\n",
    b"\x1b[0m::error::x\n", b"\x00::error::x\n", b" " * 3000 + b"::error::x\n",
)  # fmt: skip


def passed(*writes: bytes) -> str:
    below = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    barred = Barred(below)
    for each in writes:
        barred.write(each)
    barred.end()
    below.flush()
    return below.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("data", HOSTILE)
@pytest.mark.parametrize("pieces", [False, True])
def test_nothing_of_it_is_a_command(data: bytes, pieces: bool) -> None:
    if b"\x1b" not in data and b"\x00" not in data:
        assert commands_of(data.decode("utf-8", "replace")), "the control: the runner would carry it out"
    writes = [data[at : at + 1] for at in range(len(data))] if pieces else [data]
    assert commands_of(passed(*writes)) == []


@given(
    st.lists(st.lists(st.sampled_from([b":", b"::", b"#", b"##", b"[", b"]", b"\n", b"\r", b" ", b"x", b"\xc2\xa0"])).map(b"".join))
)
def test_no_way_of_cutting_it_makes_a_command(writes: list[bytes]) -> None:
    found = passed(*writes)
    assert commands_of(found) == []
    whole = b"".join(writes).decode("utf-8", "replace")
    assert re.sub(r"[| \n]", "", found) == re.sub(r"[| \n]", "", whole), "and nothing is lost"


def test_ordinary_output_passes_as_it_is_and_at_once() -> None:
    below = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    barred = Barred(below)
    for data in (b"50%\r", b"a: b::c ", b"[#####", b"\n", "übung\n".encode()):
        barred.write(data)
    assert below.buffer.getvalue() == "50%\ra: b::c [#####\nübung\n".encode()  # type: ignore[attr-defined]
    assert passed(b"x" * 5000, b"::\n") == "x" * 5000 + "::\n"


def test_the_streams_are_as_they_were_however_it_ends(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    for error in (None, ValueError, SystemExit, KeyboardInterrupt):
        try:
            with no_commands():
                sys.stdout.write("::error::text")
                sys.stdout.buffer.write(b"\n::error::bytes")
                sys.stderr.buffer.write(b"::error::bytes")
                assert not sys.stderr.isatty()
                if error:
                    raise error
        except (ValueError, SystemExit, KeyboardInterrupt):
            pass
        assert (sys.stdout, sys.stderr) == before
        sys.stdout.write("::endgroup::\n")
        sys.stdout.flush()
        shown = capfd.readouterr()
        assert commands_of(shown.out) == ["::endgroup::"], "an open line does not hide it"
        assert commands_of(shown.err) == [] and "bytes" in shown.err


def test_what_commands_say_is_escaped() -> None:
    assert command("error", "50%\r\n::x", file="a:b,c") == "::error file=a%3Ab%2Cc::50%25%0D%0A::x\n"
    assert masks("p%25w\nsecond\r\n\n third ") == "::add-mask::p%2525w\n::add-mask::second\n::add-mask:: third \n"
    assert masks("") == masks("\n") == ""
