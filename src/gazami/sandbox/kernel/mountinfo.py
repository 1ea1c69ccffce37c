"""What is mounted where, as this process sees it: /proc/self/mountinfo (proc(5))."""

from __future__ import annotations

from collections.abc import Collection

from gazami.values import fast_dataclass

_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


@fast_dataclass(frozen=True, slots=True)
class Mounted:
    """``point`` is the absolute path, ``fstype`` the file system's type, ``options`` those of the mount itself."""

    point: str
    fstype: str
    options: frozenset[str]


def mounts() -> list[Mounted]:
    """All mounts, the older ones first. Raises OSError where there is no /proc."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split(" ")
            fstype = fields[fields.index("-") + 1]
            found.append(Mounted(unescaped(fields[4]), fstype, frozenset(fields[5].split(","))))
    return found


def mount_points() -> list[str]:
    """The absolute paths at which something is mounted."""
    return [mount.point for mount in mounts()]


def mount_of(path: str, points: Collection[str]) -> str:
    """The mount point that an absolute path without links is on. Nothing is renamed from one mount to another, even if both
    are of the same file system."""
    return max((point for point in points if f"{path}/".startswith(f"{point.rstrip('/')}/")), key=len, default="/")


def unescaped(text: str) -> str:
    """A path of mountinfo, where space, tab, newline and backslash are octal."""
    for code, character in _ESCAPES:
        text = text.replace(code, character)
    return text
