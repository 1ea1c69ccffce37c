from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazami.dockerfile.words import expand, expand_body, split_raw
from gazami.errors import DockerfileError

ENV = {"A": "value", "E": "", "P": "a/b/b.tar.gz", "S": "two words"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A", "value"),
        ("${A}x$A", "valuexvalue"),
        ("$Ax", ""),
        ("\\$A", "$A"),
        ("'$A'", "$A"),
        ('"$A \\x \\" \\$"', 'value \\x " $'),
        ("a\\ b\\", "a b"),
        ("${E:-d}${E-d}${U-d}${U:-d}", "ddd"),
        ("${A:+y}${A+y}${E:+y}${E+y}${U+y}", "yyy"),
        ("${U:-$A}${U:-${A}-'$A'}", "valuevalue-$A"),
        ("${P#*/}", "b/b.tar.gz"),
        ("${P##*/}", "b.tar.gz"),
        ("${P%.*}", "a/b/b.tar"),
        ("${P%%.*}", "a/b/b"),
        ("${P/b/X}", "a/X/b.tar.gz"),
        ("${P//b/X}", "a/X/X.tar.gz"),
        ("${P//[b]/Y}", "a/b/b.tar.gz"),
        ("${P/\\//-}", "a-b/b.tar.gz"),
        ("$", "$"),
        ("$$", ""),
        ("a$/b", "a$/b"),
        ("$1x", "x"),
        ("{$A}", "{value}"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, ENV).text == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${A", "missing '}'"),
        ("${}", "bad substitution"),
        ("${:x}", "bad substitution"),
        ("${A:=x}", "unsupported modifier"),
        ("${A:#x}", "unsupported modifier"),
        ("${A^}", "unsupported modifier"),
        ("${U:?told so}", "U: told so"),
        ("${E:?}", "not allowed to be empty"),
        ("${U?}", "not allowed to be unset"),
        ("'open", "single-quote"),
        ('"open', "double-quote"),
    ],
)
def test_broken_expansions_say_why(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message.replace("?", "\\?")):
        expand(text, ENV)


def test_the_escape_character_of_the_file() -> None:
    assert expand("c:\\dir\\$A", ENV, "`").text == "c:\\dir\\value"
    assert expand("`$A", ENV, "`").text == "$A"


def test_unquoted_values_are_split_into_words_and_quoted_ones_are_not() -> None:
    assert expand('a $S "$S"', ENV).words == ("a", "two", "words", "two words")


def test_a_heredoc_body_keeps_its_quotes() -> None:
    assert expand_body("\"$A\" '$A' \\$A\n", ENV).text == "\"value\" 'value' $A\n"


def test_raw_words_of_a_broken_line_are_none() -> None:
    assert split_raw('a "b') == ()
    assert split_raw("a \"b c\" 'd' e\\ f") == ("a", '"b c"', "'d'", "e\\ f")


operators = st.sampled_from([":-", "-", ":+", "+", "#", "##", "%", "%%"])
letters = st.text("ab*?.", max_size=4)


@given(st.text("ab.", max_size=5), operators, letters)
@settings(max_examples=150, deadline=None)
def test_agrees_with_a_posix_shell(value: str, operator: str, word: str) -> None:
    text = f"${{X{operator}{word}}}"
    shell = subprocess.run(["sh", "-fc", f'printf "%s" "{text}"'], env={"X": value}, capture_output=True, text=True, check=True)
    assert expand(f'"{text}"', {"X": value}).text == shell.stdout
