"""``--chmod``: octal or symbolic modes (frontend reference, COPY --chmod; chmod(1))."""

from __future__ import annotations

import re
from collections.abc import Callable

from gazami.errors import DockerfileError

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)\Z")
_ACTION = re.compile(r"([-+=])([rwxXst]*|[ugo])(?=[-+=]|\Z)")
_SHIFT = {"u": 6, "g": 3, "o": 0}

Chmod = Callable[[int, bool], int]
"""``(mode, is_directory)`` to the new mode."""


def parse_chmod(text: str) -> tuple[Chmod, int | None]:
    """The function that a mode text means, and the number when it is octal. Raises :class:`DockerfileError`."""
    if not text:
        return (lambda mode, _: mode), None
    if text[0].isdigit():
        try:
            number = int(text, 8)
        except ValueError:
            number = -1
        if not 0 <= number <= 0o7777:
            raise DockerfileError(f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")
        return (lambda mode, _: number), number
    clauses = []
    for clause in text.split(","):
        match = _CLAUSE.match(clause)
        if not match:
            raise DockerfileError(f"invalid chmod parameter: '{text}'", hint="octal (0755) or symbolic (u=rwX,go=rX)")
        who = match.group(1).replace("a", "ugo") or "ugo"
        clauses += [(who, operator, perms) for operator, perms in _ACTION.findall(match.group(2))]

    def change(mode: int, is_directory: bool) -> int:
        for who, operator, perms in clauses:
            mode = _apply(mode, who, operator, perms, is_directory)
        return mode

    return change, None


def _apply(mode: int, who: str, operator: str, perms: str, is_directory: bool) -> int:
    bits = special = 0
    if perms in ("u", "g", "o") and perms:
        bits = mode >> _SHIFT[perms] & 7
    else:
        executable = is_directory or bool(mode & 0o111)
        bits = 4 * ("r" in perms) | 2 * ("w" in perms) | int("x" in perms or ("X" in perms and executable))
        if "s" in perms:
            special |= 0o4000 * ("u" in who) | 0o2000 * ("g" in who)
        if "t" in perms:
            special |= 0o1000
    mask = sum(bits << _SHIFT[each] for each in set(who)) | special
    if operator == "+":
        return mode | mask
    if operator == "-":
        return mode & ~mask
    cleared = sum(7 << _SHIFT[each] for each in set(who))
    cleared |= 0o4000 * ("u" in who) | 0o2000 * ("g" in who)
    return mode & ~cleared | mask
