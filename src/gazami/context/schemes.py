"""The explicit table of context schemes: what stands before ``://`` and what brings such a context here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gazami.context.local import local_folder
from gazami.errors import ContextError, UsageError


@dataclass(frozen=True, slots=True)
class Fetched:
    """``folder`` holds the context's files; ``remote`` contexts are not filtered by .dockerignore."""

    folder: Path
    remote: bool = False


def _directory(rest: str, sub_path: str, workspace: Path) -> Fetched:
    return Fetched(local_folder(rest, sub_path))


SCHEMES: dict[str, Callable[[str, str, Path], Fetched]] = {"dir": _directory}
_PLANNED = ("tar", "gs", "s3", "git", "https", "http")


def fetch_context(context: str, sub_path: str, workspace: Path) -> Fetched:
    """Bring a context here. ``workspace`` is a folder for what has to be downloaded. Raises :class:`ContextError`."""
    scheme, separator, rest = context.partition("://")
    if not separator:
        return Fetched(local_folder(context, sub_path))
    fetch = SCHEMES.get(scheme)
    if fetch is not None:
        return fetch(rest, sub_path, workspace)
    if scheme in _PLANNED:
        raise ContextError(
            f"contexts of the scheme {scheme}:// are not supported yet", hint="use a local folder, or dir://path"
        )
    raise UsageError(
        f"unknown context scheme {scheme}:// in {context!r}",
        hint="a path, dir://, tar://, git://, gs://, s3://, https://",
    )
