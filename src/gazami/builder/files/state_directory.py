"""The state directory is this user's alone: no other user may have made it, write to it or enter it.

A user who can write there can exchange the bytes of images, and one who can enter can run set-user-ID programs of roots that are
being built (CVE-2021-41091). A directory of ours that is too open is closed; one that has files of others, such as /tmp, gets a
folder of ours; one that is another user's, or a symbolic link, is refused.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from gazami.errors import HostError, SpaceError

_OURS = frozenset({"indexes", "cache-mounts", "inplace", "cache", "lost+found"})
"""Names that a state directory holds, besides those that begin as below. ``deploy/image/executor.c`` has the same list."""
_OURS_BEGIN = ("build-", "program")
"""Builds, and the executor's program where its file was copied alone."""


def claim(path: str) -> Path:
    """Make the directory, or check the one that is there; where state lies: it, or a folder in it. Raises HostError."""
    place = Path(path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if _make(place):
            return place
        info = place.lstat()
        _check_kind(place, info)
        if info.st_uid == os.geteuid():
            if not stat.S_IMODE(info.st_mode) & 0o077:
                return place
            if _is_only_ours(place):
                place.chmod(0o700)
                return place
            if info.st_mode & 0o022 and not info.st_mode & stat.S_ISVTX:
                raise HostError(
                    f"the state directory {place} can be changed by other users: they may rename what is yours",
                    hint=f"give a directory of its own with --state-dir or $GAZAMI_STATE_DIR, or: chmod go-w {place}",
                )
        elif info.st_uid != 0:
            raise _foreign(place, info.st_uid)
        own = place / f"gazami-{os.geteuid()}"
        if not _make(own):
            _check_own(own)
        return own
    except OSError as cause:
        raise state_error(place, cause) from cause


def state_error(place: Path, cause: OSError) -> HostError:
    if cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return SpaceError(f"no space left in the state directory {place}", hint="give another one with --state-dir")
    return HostError(
        f"cannot use the state directory {place}: {cause.strerror}",
        hint="give a writable one with --state-dir or $GAZAMI_STATE_DIR",
    )


def _make(place: Path) -> bool:
    try:
        place.mkdir(0o700)
    except FileExistsError:
        return False
    return True


def _check_kind(place: Path, info: os.stat_result) -> None:
    if stat.S_ISLNK(info.st_mode):
        raise HostError(
            f"the state directory {place} is a symbolic link to {os.readlink(place)}",
            hint="give the directory itself with --state-dir or $GAZAMI_STATE_DIR",
        )
    if not stat.S_ISDIR(info.st_mode):
        raise HostError(f"the state directory {place} is not a directory", hint="give another one with --state-dir")


def _check_own(place: Path) -> None:
    info = place.lstat()
    _check_kind(place, info)
    if info.st_uid != os.geteuid():
        raise _foreign(place, info.st_uid)
    place.chmod(0o700)


def _foreign(place: Path, uid: int) -> HostError:
    return HostError(
        f"the state directory {place} belongs to user {uid}, who could change what is built",
        hint=f"give one of your own with --state-dir or $GAZAMI_STATE_DIR, such as {place}-{os.geteuid()}",
    )


def _is_only_ours(place: Path) -> bool:
    """Whether nothing but state lies there: a volume that was made for it."""
    return all(name in _OURS or name.startswith(_OURS_BEGIN) for name in os.listdir(place))
