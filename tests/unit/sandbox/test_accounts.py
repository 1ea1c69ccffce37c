from __future__ import annotations

import pytest

from gazami.errors import UserError
from gazami.sandbox.inside.accounts import Account, find_account

PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\n# a comment\nweb:x:33:44::/srv/web:/bin/false\n\nnobody:x:65534:65534::/:\n77:x:5:5::/five:\n"
)
GROUP = "root:x:0:\nwheel:x:10:root,web\nweb:x:44:\nlogs:x:55:web\n"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Account(0, 0, (0, 10), "/root")),
        ("root", Account(0, 0, (0, 10), "/root")),
        ("0", Account(0, 0, (0, 10), "/root")),
        ("web", Account(33, 44, (44, 10, 55), "/srv/web")),
        ("33", Account(33, 44, (44, 10, 55), "/srv/web")),
        ("web:logs", Account(33, 55, (55,), "/srv/web")),
        ("web:1234", Account(33, 1234, (1234,), "/srv/web")),
        ("1000", Account(1000, 0, (0,), "/")),
        ("1000:wheel", Account(1000, 10, (10,), "/")),
        ("77", Account(77, 0, (0,), "/")),
        ("nobody", Account(65534, 65534, (65534,), "/")),
    ],
)
def test_lookup(user: str, expected: Account) -> None:
    assert find_account(user, PASSWD, GROUP) == expected


@pytest.mark.parametrize(
    ("user", "message"), [("ghost", "user ghost"), ("web:ghosts", "group ghosts"), ("-1", "range"), ("4294967296", "range")]
)
def test_unknown_names_are_errors(user: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_account(user, PASSWD, GROUP)


@pytest.mark.parametrize("user", ["", "0", "0:0"])
def test_root_needs_no_files(user: str) -> None:
    assert find_account(user, None, None) == Account(0, 0, (0,), "/")


@pytest.mark.parametrize("text", ["\0\xff:::", "a", "web:x", "web:x:abc:def", ":::::::::", "web:x:33:44", "\n\n\n"])
def test_garbage_in_the_files_is_survived(text: str) -> None:
    assert find_account("0", text, text).uid == 0
