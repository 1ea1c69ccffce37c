"""Names of users and groups, read from an image's own /etc/passwd and /etc/group. Pure and standard library only."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.values import fast_dataclass, field

ACCOUNT_FILES = ("etc/passwd", "etc/group")

MAX_ACCOUNTS = 10 << 20
"""Bytes of a passwd or group file; a larger one is not read."""


@fast_dataclass(frozen=True, slots=True)
class Accounts:
    """``users``: name to (uid, gid). ``groups``: name to gid."""

    users: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)


def parse_accounts(passwd: bytes, group: bytes) -> Accounts:
    """Lines that do not parse are skipped, the first of a name wins (passwd(5), group(5))."""
    users: dict[str, tuple[int, int]] = {}
    for fields in _lines(passwd):
        if len(fields) >= 4 and fields[2].isdigit() and fields[3].isdigit():
            users.setdefault(fields[0], (int(fields[2]), int(fields[3])))
    groups: dict[str, int] = {}
    for fields in _lines(group):
        if len(fields) >= 3 and fields[2].isdigit():
            groups.setdefault(fields[0], int(fields[2]))
    return Accounts(users, groups)


def _lines(data: bytes) -> list[list[str]]:
    text = data.decode("utf-8", "surrogateescape")
    return [line.strip().split(":") for line in text.split("\n") if line.strip() and not line.startswith("#")]


@fast_dataclass(frozen=True, slots=True)
class Owner:
    """``unknown`` are the names that nothing defines; they count as 0, as in BuildKit."""

    uid: int
    gid: int
    unknown: tuple[str, ...] = ()


def parse_owner(text: str, accounts: Accounts) -> Owner:
    """``user[:group]`` of ``--chown``, and of USER for what WORKDIR creates: a lone number is the group too, a lone name
    brings its primary group."""
    user, colon, group = text.partition(":")
    unknown: list[str] = []
    uid, gid = 0, 0
    if user.isascii() and user.isdigit():
        uid = int(user)
        gid = uid
    elif user in accounts.users:
        uid, gid = accounts.users[user]
    elif user and user != "root":
        unknown.append(user)
    if colon and group:
        if group.isascii() and group.isdigit():
            gid = int(group)
        elif group in accounts.groups:
            gid = accounts.groups[group]
        elif group == "root":
            gid = 0
        else:
            unknown.append(group)
            gid = uid
    return Owner(uid, gid, tuple(unknown))
