"""Where an image of ``inspect`` and ``copy`` is: a registry's name, or a path as ``push`` takes it. Pure but for the look-up."""

from __future__ import annotations

from pathlib import Path

from gazami.values import fast_dataclass

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.zst")
_PREFIXES = ("oci:", "docker-archive:", "oci-archive:")


@fast_dataclass(frozen=True, slots=True)
class Place:
    """``name`` chooses one of several images of a layout."""

    path: Path
    name: str = ""


def place_of(text: str) -> Place | None:
    """A path that is written as one, with ``oci:`` before it, a slash at one of its ends, a dot at the begin, or the suffix of an
    archive; None for the name of an image. ``debian`` is a name, whatever the working directory holds."""
    for prefix in _PREFIXES:
        if text.startswith(prefix):
            return split(text.removeprefix(prefix))
    head = text.rpartition(":")[0] if ":" in text.rpartition("/")[2] else text
    if head.startswith(("/", "./", "../")) or text in (".", "..") or head.endswith(("/", *_ARCHIVES)):
        return split(text)
    return None


def split(text: str) -> Place:
    """``PATH[:NAME]`` or ``PATH@DIGEST``; a path that exists is one."""
    path = Path(text)
    if path.exists():
        return Place(path)
    head, _, name = text.partition("@") if "@" in text else text.rpartition(":")
    return Place(Path(head), name) if head else Place(path)
