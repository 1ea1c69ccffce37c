"""Names that delete (OCI image spec, layer.md, whiteouts). Standard library only."""

from __future__ import annotations

PREFIX = ".wh."
OPAQUE = ".wh..wh..opq"
_RESERVED = ".wh..wh."


def deleted_name(name: str) -> str | None:
    """The name that a whiteout's base name deletes, None when it is none (or an opaque marker, or AUFS's metadata)."""
    if not name.startswith(PREFIX) or name.startswith(_RESERVED):
        return None
    return name[len(PREFIX) :]


def is_aufs_metadata(name: str) -> bool:
    """``.wh..wh.plnk`` and the like: left over by AUFS, ignored by everybody."""
    return name.startswith(_RESERVED) and name != OPAQUE


def is_whiteout(path: str) -> bool:
    """Whether a member's path deletes something, or is AUFS's metadata."""
    return path.rpartition("/")[2].startswith(PREFIX)
