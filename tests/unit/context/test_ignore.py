from __future__ import annotations

import pytest

from gazami.context.ignore import ignore_of, parse_ignore
from gazami.errors import DockerfileError


@pytest.mark.parametrize(
    ("pattern", "path", "excluded"),
    [
        ("a", "a", True),
        ("a", "a/b", True),
        ("a", "b/a", False),
        ("/a", "a", True),
        ("a/", "a", True),
        ("./a", "a", True),
        ("a/../b", "b", True),
        ("*.txt", "x.txt", True),
        ("*.txt", "d/x.txt", False),
        ("**/*.txt", "x.txt", True),
        ("**/*.txt", "d/e/x.txt", True),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("**", "a/b", True),
        ("**foo", "x/barfoo", True),
        ("**/foo", "foo", True),
        ("**/foo", "barfoo", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab]", "b", True),
        ("[^ab]", "c", True),
        ("[!a]", "!", True),
        ("[!a]", "b", False),
        ("a.b", "axb", False),
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        (".", "a", False),
        ("a+(b)", "a+(b)", True),
        ("[a-c]x", "bx", True),
    ],
)
def test_one_pattern(pattern: str, path: str, excluded: bool) -> None:
    assert ignore_of((pattern,)).excludes(path) is excluded


def test_the_last_decisive_pattern_wins() -> None:
    ignore = parse_ignore("*\n!dir\ndir/sub\n!dir/sub/keep\n")
    assert [ignore.excludes(path) for path in ("x", "dir", "dir/f", "dir/sub/f", "dir/sub/keep")] == [
        True, False, False, True, False,
    ]  # fmt: skip


def test_results_of_the_parent_lead_to_the_same_answer() -> None:
    ignore = parse_ignore("a\n!a/b\na/b/c\n")
    for path in ("a", "a/x", "a/b", "a/b/c", "a/b/c/d", "a/b/d"):
        state = None
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            excluded, state = ignore.check("/".join(parts[:count]), state)
        assert excluded == ignore.excludes(path), path


def test_comments_blanks_and_a_byte_order_mark() -> None:
    ignore = parse_ignore("\ufeff# comment\n\n  a  \n #b\n")
    assert ignore.excludes("a")
    assert ignore.excludes("#b")
    assert not ignore.excludes("# comment")


@pytest.mark.parametrize("text", ["a\n!\n", "a\n[\n", "a\n[]\n", "a\n[z-\n", "a\nx\\\n"])
def test_bad_patterns_name_their_line(text: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_ignore(text)
    assert caught.value.span is not None
    assert caught.value.span.start == 2


def test_a_directory_is_walked_only_when_an_exception_could_match_below() -> None:
    ignore = parse_ignore("a\nb\n!a/x/*.c\n")
    assert ignore.may_include_below("a")
    assert ignore.may_include_below("a/x")
    assert not ignore.may_include_below("b")
    assert not ignore.may_include_below("a/y")
