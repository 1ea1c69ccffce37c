"""The Dockerfiles below a folder, by their names."""

from __future__ import annotations

import os
import re

from gazami.errors import ContextError

_NAME = re.compile(r"(?:Dockerfile|Containerfile)(?:\..+)?\Z|.+\.(?:[Dd]ockerfile|[Cc]ontainerfile)\Z|dockerfile\Z")
_NO_DOCKERFILE = (
    "ignore", "~", ".bak", ".erb", ".in", ".j2", ".jinja", ".jinja2", ".md", ".mustache", ".orig", ".rej", ".swp", ".template",
    ".tmpl", ".tpl",
)  # fmt: skip
"""Ends of names of ignore files, templates and what editors leave behind."""
_PASSED_OVER = frozenset({"node_modules", "vendor"})


def is_dockerfile_name(name: str) -> bool:
    """Dockerfile, Containerfile, either with a further part (``Dockerfile.dev``), and ``web.Dockerfile``. No hidden file is one."""
    return not name.startswith(".") and _NAME.match(name) is not None and not name.endswith(_NO_DOCKERFILE)


def dockerfiles_below(folder: str) -> tuple[str, ...]:
    """Their paths, which begin with ``folder`` as it is given, in order. Hidden folders and those of other people's code
    (``node_modules``, ``vendor``) are passed over; symlinks are not followed. Raises :class:`ContextError`."""
    found: list[str] = []
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            entries = list(os.scandir(place))
        except OSError as cause:
            raise ContextError(f"cannot read the folder {place}: {cause.strerror}") from cause
        for entry in entries:
            path = os.path.normpath(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in _PASSED_OVER:
                    waiting.append(path)
            elif entry.is_file(follow_symlinks=False) and is_dockerfile_name(entry.name):
                found.append(path)
    return tuple(sorted(found))
