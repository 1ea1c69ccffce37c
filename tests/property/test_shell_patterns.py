"""``${x#p}``, ``${x%p}`` and ``${x/p/r}``: what backtracking gives on small values, and linear work on large ones."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property import backtracking

from gazami.dockerfile.shell_pattern import replaced, stripped
from gazami.dockerfile.words import expand
from gazami.errors import DockerfileError

values = st.text("aab*\n.", max_size=9)
patterns = st.lists(st.sampled_from(["a", "b", "*", "**", "?", "\\*", ".", "\n"]), max_size=6).map("".join)


@given(values, patterns, st.sampled_from("#%"), st.booleans())
@settings(max_examples=1500, deadline=None)
def test_starts_and_ends(value: str, pattern: str, side: str, greedy: bool) -> None:
    assert stripped(value, pattern, side, greedy=greedy) == backtracking.strip(value, pattern, side, greedy=greedy)


@given(values, patterns, st.booleans())
@settings(max_examples=1500, deadline=None)
def test_replacement(value: str, pattern: str, every: bool) -> None:
    assert "".join(replaced(value, pattern, "X", every=every)) == backtracking.replace(value, pattern, "X", every=every)


def test_an_empty_match_after_another_one_is_none() -> None:
    """As Go has it; Python's ``re.sub`` gives XX."""
    assert expand("${A//*/X}", {"A": "abc"}).text == "X"
    assert expand("${A//\\*/'-$0-'}", {"A": "a*b*"}).text == "a-*-b-*-"


HOSTILE = "*a" * 14 + "b"


@pytest.mark.parametrize(
    "text",
    [f"${{X#{HOSTILE}}}", f"${{X##{HOSTILE}}}", f"${{X%{HOSTILE}}}", f"${{X%%{HOSTILE}}}", f"${{X/{HOSTILE}/y}}",
     f"${{X//{HOSTILE}/y}}", "${X%b*}", "${X%%b*}", "${X//a*b/y}", "${X//?b/y}", "${X//b/y}"],
)  # fmt: skip
def test_no_pattern_takes_long(text: str) -> None:
    value = "a" * 60_000
    started = time.process_time()
    assert expand(text, {"X": value}).text == value
    assert time.process_time() - started < 5


def test_backtracking_takes_for_ever() -> None:
    """The control: the same pattern, as it was matched."""
    program = "import re, sys; re.match(sys.argv[1], 'a' * 200)"
    words = [sys.executable, "-c", program, backtracking.shell_regex(HOSTILE, greedy=False)]
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(words, timeout=2, check=False)


# -- nesting and growth ------------------------------------------------------------------------------------------------------


def test_substitutions_nest_as_deep_as_somebody_may_write() -> None:
    depth = 5000
    assert expand("${A:-" * depth + "x" + "}" * depth, {}).text == "x"
    assert expand("${A:+" * depth + "x" + "}" * depth, {"A": "y"}).text == "x"
    with pytest.raises(DockerfileError, match="missing '}'"):
        expand("${A:-" * depth, {})
    with pytest.raises(DockerfileError, match="nested more than"):
        expand("${A:-" * 20_000 + "x" + "}" * 20_000, {})


@pytest.mark.parametrize(
    "text", ["$A" * 3, "${A}${A:-x}${A:?}", "${A#x}${A%x}$A", "${B//b/'$0$0$0'}", "${B//b/$A}", "${U:-$A$A$A}"]
)
def test_what_variables_add_to_a_text_is_bounded(text: str) -> None:
    with pytest.raises(DockerfileError, match="128 KiB"):
        expand(text, {"A": "a" * 60_000, "B": "b" * 100_000})


def test_a_long_text_without_variables_is_as_long_as_it_is() -> None:
    assert len(expand("'" + "a" * 300_000 + "'", {}).text) == 300_000
    assert len(expand("a" * 300_000 + "$A", {"A": "b"}).text) == 300_001
