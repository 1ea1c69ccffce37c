"""Owners that the file system cannot hold, as an extended attribute of the file.

A user namespace with one id can own files by that id alone. What the image says, or what a command asked for by chown(2), is
recorded with the file and used in the layer. A device that cannot be made is an empty file with its number recorded. Symbolic links
and FIFOs have no ``user.`` attributes (xattr(7)): those that were changed are listed by path. Standard library only.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress

from gazami.layer.entry import Entry, Kind
from gazami.values import fast_dataclass

ATTRIBUTE = "user.gazami.owner"
_AS_SEEN = "="
_VALUE = re.compile(
    rb"(?P<uid>[0-9]{1,10}):(?P<gid>[0-9]{1,10})(?:(?P<seen>:=)|:(?P<letter>[bc]):(?P<major>[0-9]{1,4}):(?P<minor>[0-9]{1,7}))?"
)
_LAST_ID = (1 << 32) - 2
"""The last one means "unchanged" to chown(2)."""
_DEVICES = {"c": Kind.CHARACTER, "b": Kind.BLOCK}


@fast_dataclass(frozen=True, slots=True)
class Recorded:
    """``device`` is ``("c" or "b", major, minor)`` of a device, else None. ``as_seen``: a new file was given the owner that
    every file seems to have. A program that replaces a file says so to keep the owner that the old one really has."""

    uid: int
    gid: int
    device: tuple[str, int, int] | None = None
    as_seen: bool = False

    def encode(self) -> bytes:
        words = [self.uid, self.gid, *(self.device or ()), *([_AS_SEEN] if self.as_seen else ())]
        return ":".join(str(word) for word in words).encode()

    def apply(self, entry: Entry) -> None:
        entry.uid, entry.gid = self.uid, self.gid
        if self.device is not None:
            letter, major, minor = self.device
            entry.kind, entry.size, entry.device = _DEVICES[letter], 0, (major, minor)


def decode(value: bytes) -> Recorded | None:
    """None for what is not one of our values. A command may write the attribute itself, and a layer cannot hold any number."""
    found = _VALUE.fullmatch(value)
    if found is None:
        return None
    uid, gid = int(found["uid"]), int(found["gid"])
    if uid > _LAST_ID or gid > _LAST_ID:
        return None
    if found["letter"] is None:
        return Recorded(uid, gid, as_seen=found["seen"] is not None)
    major, minor = int(found["major"]), int(found["minor"])
    return Recorded(uid, gid, (found["letter"].decode(), major, minor)) if major < 1 << 12 and minor < 1 << 20 else None


def record(path: str, owner: Recorded) -> None:
    """Write the attribute of a file or directory; ``path`` may be one of /proc/self/fd. Raises OSError where there are none."""
    os.setxattr(path, ATTRIBUTE, owner.encode())


def recorded(path: str, *, follow: bool = False) -> Recorded | None:
    """``follow`` is for names of descriptors in /proc."""
    with suppress(OSError):
        return decode(os.getxattr(path, ATTRIBUTE, follow_symlinks=follow))
    return None
