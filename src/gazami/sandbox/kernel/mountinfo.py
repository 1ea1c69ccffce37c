"""What is mounted where, as this process sees it: /proc/self/mountinfo (proc(5))."""

from __future__ import annotations

from dataclasses import dataclass

_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


@dataclass(frozen=True, slots=True)
class Mounted:
    """``point`` is the absolute path, ``kind`` the file system's type, ``options`` those of the mount itself."""

    point: str
    kind: str
    options: frozenset[str]


def mounts() -> list[Mounted]:
    """All mounts, the older ones first. Raises OSError where there is no /proc."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split(" ")
            kind = fields[fields.index("-") + 1]
            found.append(Mounted(unescaped(fields[4]), kind, frozenset(fields[5].split(","))))
    return found


def unescaped(text: str) -> str:
    """A path of mountinfo, where space, tab, newline and backslash are octal."""
    for code, character in _ESCAPES:
        text = text.replace(code, character)
    return text
