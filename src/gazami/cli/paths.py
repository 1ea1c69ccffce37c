"""Relative paths of the command line become absolute here, and nowhere else: what runs later may have another directory.

Symbolic links and ``..`` are kept as they were written; the system resolves them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from gazami.context.git_url import is_git

STANDARD_OUTPUT = "-"
_LAYOUT = "oci-layout://"


def absolute(path: str, cwd: str) -> str:
    """An empty path and ``-`` (standard input or output) stay as they are."""
    if path in ("", STANDARD_OUTPUT) or path.startswith("/"):
        return path
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/".join([cwd.rstrip("/"), *parts]) or "/"


def absolutes(paths: Iterable[str], cwd: str) -> tuple[str, ...]:
    return tuple(absolute(path, cwd) for path in paths)


def absolute_or_url(place: str, cwd: str) -> str:
    """A digest file may lie at a web server."""
    return place if place.startswith(("http://", "https://")) else absolute(place, cwd)


def absolute_context(context: str, cwd: str) -> str:
    """A build context, a named one too: a folder, ``dir://``, ``tar://`` or ``oci-layout://`` is a path, anything else is none."""
    if context == "tar://stdin" or is_git(context):
        return context
    scheme, separator, rest = context.partition("://")
    if not separator:
        return absolute(context, cwd)
    return f"{scheme}://{absolute(rest, cwd)}" if scheme in ("dir", "tar", "oci-layout") else context


def absolute_cache(place: str, cwd: str) -> str:
    """``oci:DIR`` is a path, a repository is none."""
    kind, colon, path = place.partition(":")
    return f"oci:{absolute(path, cwd)}" if colon and kind == "oci" and not path.startswith("//") else place
