"""Who a command runs as: Docker's USER text looked up in the root's own /etc/passwd and /etc/group.

The rules are those of runc: a name of digits is always an id; an unknown id is taken as it is with group 0 and home ``/``;
the groups that list the user are added unless USER names a group.
"""

from __future__ import annotations

from gazami.errors import UserError
from gazami.values import fast_dataclass

FILE_LIMIT = 10 << 20
"""Bytes of /etc/passwd or /etc/group that are read; a longer file is an error."""
_MOST_ID = (1 << 31) - 1


@fast_dataclass(frozen=True, slots=True)
class Account:
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def find_account(user: str, passwd: str | None, group: str | None) -> Account:
    """The account that ``user`` (``name[:group]``, ``uid[:gid]``, empty for uid 0) means; raises UserError when unknown."""
    user_name, _, group_name = user.partition(":")
    wanted = _number(user_name) if user_name else 0
    users, groups = _lines(passwd or ""), _lines(group or "")
    entry = next((e for e in users if (e[0] == user_name if wanted is None else _id(e, 2) == wanted)), None)
    if entry is None and wanted is None:
        raise UserError(
            f"unable to find user {user_name}: no matching entries in passwd file",
            hint="The name in USER must be in the image's /etc/passwd; create it with RUN, or use a numeric id.",
        )
    uid, gid, home = wanted or 0, 0, ""
    if entry is not None:
        uid, gid, home = _id(entry, 2), _id(entry, 3), entry[5] if len(entry) > 5 else ""
    if group_name:
        gid = _group_id(group_name, groups)
        return Account(uid, gid, (gid,), home or "/")
    listing = [g for g in groups if entry is not None and len(g) > 3 and entry[0] and entry[0] in g[3].split(",")]
    return Account(uid, gid, tuple(dict.fromkeys([gid, *(_id(g, 2) for g in listing)])), home or "/")


def _group_id(name: str, groups: list[list[str]]) -> int:
    wanted = _number(name)
    if wanted is not None:
        return wanted
    for group in groups:
        if group[0] == name:
            return _id(group, 2)
    raise UserError(
        f"unable to find group {name}: no matching entries in group file",
        hint="The group in USER must be in the image's /etc/group; create it with RUN, or use a numeric id.",
    )


def _number(text: str) -> int | None:
    """The id that ``text`` is, None for a name; raises UserError outside 0 … 2³¹-1."""
    if not (text.isascii() and text.removeprefix("-").isdigit()):
        return None
    number = int(text)
    if not 0 <= number <= _MOST_ID:
        raise UserError(f"USER {text}: uids and gids must be in range 0-{_MOST_ID}")
    return number


def _lines(text: str) -> list[list[str]]:
    lines = (line.strip() for line in text.split("\n"))
    return [line.split(":") for line in lines if line and line[0] not in "#+-"]


def _id(fields: list[str], index: int) -> int:
    """The id in a field; 0 for one that is missing or no number, as runc reads it."""
    text = fields[index].strip() if index < len(fields) else ""
    return int(text) if text.isascii() and text.isdigit() else 0
