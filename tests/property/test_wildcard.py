"""Linear matching: the same answers as backtracking on small inputs, and no more work than the input is long on large ones."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.backtracking import ignore_regex, name_regex

from gazami.context import ignore
from gazami.dockerfile.wildcard import Wildcard
from gazami.rootfs.glob import component

pieces = st.sampled_from(["a", "b", "/", "*", "**", "**/", "?", "[ab]", "[^a]", "[a-c]", "\\*", ".", "\n", "ü"])
patterns = st.lists(pieces, min_size=1, max_size=9).map("".join)
texts = st.text("aab/*.\nüc", max_size=12)


@given(patterns, texts)
@settings(max_examples=1500, deadline=None)
def test_paths_match_as_by_backtracking(pattern: str, path: str) -> None:
    expected = re.fullmatch(ignore_regex(pattern), path, re.DOTALL) is not None
    row = ignore.elements(pattern)
    assert Wildcard(row).matches(path) is expected
    assert ignore.compiled(row)(path) is expected


@given(patterns.filter(lambda text: "/" not in text), texts.map(lambda text: text.replace("/", "")))
@settings(max_examples=1000, deadline=None)
def test_names_match_as_by_backtracking(pattern: str, name: str) -> None:
    assert component(pattern)(name) is (re.fullmatch(name_regex(pattern), name, re.DOTALL) is not None)


@pytest.mark.parametrize(("pattern", "name", "expected"), [("[^z-a]", "q", True), ("[z-a]", "q", False), ("[z-ab]", "b", True)])
def test_an_empty_range_of_a_name_takes_nothing(pattern: str, name: str, expected: bool) -> None:
    assert component(pattern)(name) is expected


HOSTILE = {
    "stars in a name": ("*a" * 14 + "b", "a" * 200),
    "directories": ("**/" * 12 + "b", "a/" * 100 + "f"),
    "stars and directories": ("**/*a" * 12 + "b", "aa/" * 100 + "f"),
    "a star between each": ("a*" * 300 + "b", "a" * 4000),
    "other elements between": ("*?[a-b]" * 12 + "c", "ab" * 100),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_pattern_takes_long(name: str) -> None:
    pattern, path = HOSTILE[name]
    started = time.process_time()
    assert not ignore.parse_pattern(pattern).matches(path)
    assert not component(pattern.replace("/", ""))(path.replace("/", ""))
    assert time.process_time() - started < 2


def test_backtracking_takes_for_ever() -> None:
    """The control: the same pattern and name, as they were matched."""
    pattern, path = HOSTILE["stars in a name"]
    words = [sys.executable, "-c", "import re, sys; re.fullmatch(sys.argv[1], sys.argv[2])", ignore_regex(pattern), path]
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(words, timeout=2, check=False)


class Counted(str):
    """A text that counts how often its characters are asked for."""

    asked = 0

    def __getitem__(self, at: object) -> str:  # type: ignore[override]
        Counted.asked += 1
        return super().__getitem__(at)  # type: ignore[index]


@pytest.mark.parametrize("pattern", ["*a" * 20 + "b", "**/*a" * 20 + "b"])
def test_each_character_is_read_once(pattern: str) -> None:
    wildcard = Wildcard(ignore.elements(pattern))
    work = []
    for length in (1000, 2000):
        Counted.asked = 0
        wildcard.matches(Counted("a" * length))
        work.append(Counted.asked)
    assert work == [1000, 2000]
