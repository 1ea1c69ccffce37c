"""A file's recorded header (idea 3 of the design: the recorded metadata is the truth) and where its bytes lie.

Standard library only: the fork server imports this.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from gazami.errors import ArchiveError, RefusedArchive
from gazami.values import fast_dataclass


class Kind(IntEnum):
    """What an entry is. HARDLINK exists only in tar streams; in a tree linked names share one node."""

    FILE = 0
    DIRECTORY = 1
    SYMLINK = 2
    HARDLINK = 3
    CHARACTER = 4
    BLOCK = 5
    FIFO = 6


Xattrs: TypeAlias = tuple[tuple[str, bytes], ...]


@fast_dataclass(slots=True)
class Entry:
    """One member of a layer. Treated as immutable; not frozen, because frozen ones cost three times as much to make.

    ``path`` has no leading or trailing slash and no ``.`` or ``..``; the root is the empty string. Undecodable bytes are
    surrogate escapes. ``mode`` holds the permission bits (07777), ``mtime`` whole seconds, ``size`` bytes of a file,
    ``link`` a symlink's target as written or a hard link's path. Source: OCI image spec, layer.md, file attributes.
    """

    path: str
    kind: Kind
    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: Xattrs = ()


@fast_dataclass(frozen=True, slots=True)
class FileContent:
    """Bytes of a local file, from ``offset`` on, as many as the entry's size says.

    With ``beneath``, a directory whose contents are not trusted, ``path`` is relative to it and no symbolic link on its way is
    followed. ``identity`` is the device and inode of the file as it was listed: no other one is read in its place.
    """

    path: str
    offset: int = 0
    beneath: str = ""
    identity: tuple[int, int] | None = None


@fast_dataclass(frozen=True, slots=True)
class BytesContent:
    """Bytes in memory; for small files only (a here-document, a tree's /etc/passwd)."""

    data: bytes


@fast_dataclass(frozen=True, slots=True)
class LayerContent:
    """Bytes of the member ``path`` of a layer, wherever that is. ``layer`` is a name that the build gave to it."""

    layer: str
    path: str


Content: TypeAlias = FileContent | BytesContent | LayerContent


def clean_path(name: str) -> str:
    """A member's name as an entry path. Raises :class:`ArchiveError` for a name that would leave the root.

    Absolute names are taken from the root, as every builder does.
    """
    if "\0" in name:
        raise ArchiveError(f"archive member {name!r} has a NUL in its name")
    if name.startswith("./"):
        name = name[2:]
    if name.endswith("/"):
        name = name[:-1]
    if name[:1] not in ("", "/", ".") and "//" not in name and "/." not in name and name[-1] != "/":
        return name  # as nearly every name is written
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise RefusedArchive(
            f"archive member {name!r} would leave its root", hint="the archive is hostile or broken; nothing of it was kept"
        )
    return "/".join(parts)


def sort_key(path: str) -> str:
    """Orders paths so that a directory comes directly before everything below it."""
    return path.replace("/", "\0")
