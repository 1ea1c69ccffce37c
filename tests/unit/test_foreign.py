"""What others wrote: bounded when it is read, harmless when it is shown."""

from __future__ import annotations

import json

import pytest

from gazami.foreign import MAX_DEPTH, ForeignJSONError, printable, printable_lines, read_json

HOSTILE = {
    "deep": b"[" * 100_000,
    "deep and closed": b"[" * 500 + b"]" * 500,
    "one level too deep": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "deep objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "a long number": b"1" * 5000,
    "a number of 70 bits": b'{"size": 1180591620717411303424}',
    "infinity by size": b"[1e999]",
    "NaN": b'{"a": NaN}',
    "not UTF-8": b'"\xff\xfe\xfd"',
    "nothing": b"",
    "HTML": b"<html>",
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_what_is_beyond_the_bounds_is_one_kind_of_error(raw: bytes) -> None:
    with pytest.raises(ForeignJSONError) as caught:
        read_json(raw)
    assert len(str(caught.value)) < 200


def test_the_standard_reader_lets_some_of_it_pass() -> None:
    """The control: without the bounds these are values, or errors that no caller expects."""
    with pytest.raises(RecursionError):
        json.loads(HOSTILE["deep"])
    for name in ("deep and closed", "a number of 70 bits", "infinity by size", "NaN"):
        json.loads(HOSTILE[name])


@pytest.mark.parametrize("value", [None, True, 0, -1, 1 << 62, 1.5, "x", "ü🙂", [], {"a": [{"b": "\u2028"}]}])
def test_what_is_within_them_comes_as_it_is(value: object) -> None:
    assert read_json(json.dumps(value)) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode()) == value
    assert read_json(b"\xef\xbb\xbf" + json.dumps(value).encode()) == value, "Windows writes a byte order mark"


def test_a_lone_surrogate_is_replaced() -> None:
    assert read_json(b'{"\\ud800": ["a\\udfffb", "\\ud83d\\ude42"]}') == {"\ufffd": ["a\ufffdb", "\U0001f642"]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, ünï", "plain text, ünï"),
        ("\x1b[2J\x1b]0;title\x07a\tb\x07\x1b[31mc\r", "a\tbc"),
        ("one\n::error::two\r\nthree", "one ::error::two three"),
        ("\x9b31mred\x85\x90q\x9cx", "redx"),
        ("\x1bP1;2|secret\x1b\\after", "after"),
        ("a\u202egnp.exe\u202c\u2066b\u2069", "agnp.exeb"),
        ("a\u2028b\u2029c", "a b c"),
        ("a\ud800b\udcff", "a\ufffdb\ufffd"),
        ("\x1b", ""),
        ("\x1b]8;;http://x\nlink", "8;;http://x link"),
    ],
)
def test_nothing_steers_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_stay_lines() -> None:
    assert printable_lines("a\x1b[0m\n\n\x07b") == "a\n\nb"
