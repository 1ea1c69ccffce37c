"""Paths inside an image: always ``/``-separated, never touching a file system."""

from __future__ import annotations

import posixpath


def clean(path: str) -> str:
    """An absolute path without ``.``, ``..``, doubled or trailing slashes; ``..`` cannot rise above the root."""
    return "/" + posixpath.normpath("/" + path).lstrip("/")


def join(cwd: str, path: str) -> str:
    """``path`` as seen from ``cwd``, absolute and clean."""
    return clean(path if path.startswith("/") else f"{cwd}/{path}")


def destination(cwd: str, dest: str) -> str:
    """A copy's destination: absolute, with a trailing ``/`` kept where the text asks for a directory."""
    directory = dest.endswith(("/", "/.")) or dest in ("", ".")
    path = join(cwd or "/", dest)
    return path + "/" if directory and path != "/" else path
