"""The parser against BuildKit's own (the PyPI package ``dockerfile``): same instructions, lines, flags and bodies."""

from __future__ import annotations

import dockerfile as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazami.dockerfile.flags import take_flags
from gazami.dockerfile.lines import read_lines
from gazami.dockerfile.parser import parse
from gazami.errors import DockerfileError, Source

PIECES = [
    "FROM a", "RUN ", "COPY ", "ADD ", "ENV ", "ONBUILD ", "CMD ", "LABEL ", "--mount=x ", "--link ", "--from=a ", "<<EOF",
    "<<-EOF", "<<'EOF'", '3<<"A B"', "EOF", "\tEOF", "A", "\\", "\\\\", " ", "\t", "\n", "\n\n", "# c", "#", "x", "y=z",
    "[\"a\"", "]", ",", "\"b\"", "'", '"', "$", "{", "}", "# escape=`", "`", "\r\n", "\ufeff", "é", "<", "<<", ":", "-",
]  # fmt: skip

text_of_pieces = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
lines_of_pieces = st.lists(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), max_size=12).map("\n".join)


def theirs(text: str) -> list[tuple[str, int, int, list[tuple[str, str]]]] | None:
    try:
        commands = oracle.parse_string(text)
    except (oracle.GoParseError, ValueError):
        return None
    return [(c.cmd.upper(), c.start_line, c.end_line, [(h.name, h.content) for h in c.heredocs]) for c in commands if c.cmd]


def ours(text: str) -> list[tuple[str, int, int, list[tuple[str, str]]]] | None:
    try:
        lines = read_lines(Source("Dockerfile", text)).lines
    except DockerfileError:
        return None
    return [
        (
            line.text.strip().split()[0].upper() if line.text.strip() else "",
            line.span.start,
            line.span.end,
            [(doc.name, doc.body) for doc in line.heredocs],  # the oracle leaves the tabs of <<- to whoever uses the text
        )
        for line in lines
    ]


@pytest.mark.slow
@given(st.one_of(text_of_pieces, lines_of_pieces))
@settings(max_examples=3000, deadline=None)
def test_lines_agree_with_buildkit(text: str) -> None:
    expected = theirs("FROM a\n" + text)
    found = ours("FROM a\n" + text)
    if expected is None:
        return  # the oracle also checks what our parser checks later
    assert found is not None
    assert [(k, a, b) for k, a, b, _ in found] == [(k, a, b) for k, a, b, _ in expected]
    assert [docs for *_, docs in found] == [docs for *_, docs in expected]


@given(st.one_of(text_of_pieces, lines_of_pieces, st.text(max_size=200)))
@settings(max_examples=1500, deadline=None)
def test_the_parser_raises_nothing_but_its_own_error(text: str) -> None:
    try:
        parsed = parse(Source("Dockerfile", text))
    except DockerfileError as error:
        assert error.message
        return
    last = 0
    for instruction in parsed.instructions:
        assert last < instruction.written.span.start <= instruction.written.span.end
        last = instruction.written.span.end


@given(st.lists(st.sampled_from(["--a", "--b=c", "--d='e f'", '"x"', "--", "y", "\\ ", "'"]), max_size=6).map(" ".join))
def test_taking_flags_loses_no_argument(text: str) -> None:
    words, rest = take_flags(text, "\\")
    assert all(word.startswith("--") for word in words)
    assert rest == "" or rest in text
