"""The commands of a script, as the checks see them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazami.dockerfile.shell_commands import shell_commands


@pytest.mark.parametrize(
    "script, expected",
    [
        ("a b && c||d; e & f\ng", ["a b", "c", "d", "e", "f", "g"]),
        ("a | b |& c", ["a", "|b", "|c"]),
        ("curl x |\n sh", ["curl x", "|sh"]),
        ("curl x | (sh)", ["curl x", "|sh"]),
        ("(a; b) { c; }", ["a", "b", "c"]),
        ("if a; then b; elif ! c; then d; else e; fi", ["a", "b", "c", "d", "e"]),
        ("A=b C='d e' f g=h", ["f g=h"]),
        ("env -i A=b exec /bin/nice -n f", ["/bin/nice -n f"]),
        ("A=b", []),
        ("a 'b c' \"d $e\" f\\ g h\\\ni", ["a b c d $e f g hi"]),
        ("a > b 2>&1 <c >>d e &>f", ["a e"]),
        ("a 2>/dev/null|b", ["a", "|b"]),
        ("a # b; c\nd#e", ["a", "d#e"]),
        ("a $(b c) \"$(d \"e)\")\" `f`", ["b c", "d e)", "f", "a $() $() `"]),
        ("echo $((1 + 2)) $(", ["1 + 2", "echo $() $()"]),
        ("cat <<E > x; b\nrm c\nE\nd", ["cat", "b", "d"]),
        ("cat <<-E\n\trm c\n\tE\nd", ["cat", "d"]),
        ("cat <<< word d", ["cat d"]),
        ("for x in a b; do c $x; done", ["for x in a b", "c $x"]),
        ("'", [""]), ('"', [""]), ("\\", [""]), ("$", ["$"]), ("a '", ["a"]),
    ],
)  # fmt: skip
def test_commands(script: str, expected: list[str]) -> None:
    found = [("|" if each.piped else "") + " ".join(each.words) for each in shell_commands(script)]
    assert [each.rstrip() for each in found] == expected


@given(st.text(st.sampled_from("ab \n'\"\\`$(){};|&<>#=-"), max_size=40))
def test_any_text_can_be_read(script: str) -> None:
    for command in shell_commands(script):
        assert command.words and isinstance(command.program, str)


@pytest.mark.parametrize("script", ["$(" * 5000, "(" * 5000, "`" * 5001, '"$(' * 2000, "a <<E\n" * 3000, "a;" * 20000])
def test_hostile_scripts_end(script: str) -> None:
    shell_commands(script)
