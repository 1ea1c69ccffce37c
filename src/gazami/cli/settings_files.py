"""The files of :mod:`gazami.cli.flags.settings`, as they are found: the project's in the working directory, then the user's."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gazami.errors import UsageError

if TYPE_CHECKING:
    from gazami.cli.flags.settings import SettingsFile

PROJECT = "gazami.toml"
_LARGEST = 1 << 20


def user_file(environ: Mapping[str, str]) -> str:
    """``$XDG_CONFIG_HOME/gazami/config.toml``, else below ``~/.config``; empty where there is no home."""
    folder = environ.get("XDG_CONFIG_HOME", "")
    if not folder.startswith("/"):
        home = environ.get("HOME", "")
        folder = f"{home}/.config" if home.startswith("/") else ""
    return f"{folder}/gazami/config.toml" if folder else ""


def settings_files(environ: Mapping[str, str], *, project: bool) -> list[SettingsFile]:
    """Those that exist, the one that wins first. Raises :class:`UsageError` for one that cannot be read or is not TOML."""
    places = [(PROJECT, True)] if project else []
    places += [(user_file(environ), False)]
    found = []
    for path, of_project in places:
        if path and (data := _read(path, follow=not of_project)) is not None:
            found.append(_parsed(path, data, of_project=of_project))
    return found


def _read(path: str, *, follow: bool) -> bytes | None:
    """None where there is none. A project's file is no symbolic link: it would show what this user may read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as cause:
        raise UsageError(f"cannot read {path}: {os.strerror(cause.errno or 0)}") from cause
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise UsageError(f"{path} is not a file")
        with open(fd, "rb", closefd=False) as file:
            data = file.read(_LARGEST + 1)
    finally:
        os.close(fd)
    if len(data) > _LARGEST:
        raise UsageError(f"{path} is larger than {_LARGEST} bytes")
    return data


def _parsed(path: str, data: bytes, *, of_project: bool) -> SettingsFile:
    import tomllib

    from gazami.cli.flags.settings import SettingsFile

    try:
        return SettingsFile(path, tomllib.loads(data.decode("utf-8")), of_project)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as cause:
        reason = str(cause) if isinstance(cause, tomllib.TOMLDecodeError) else "it is not TOML in UTF-8"
        raise UsageError(f"{path}: {reason}", hint='a line is FLAG = VALUE: target = "app"') from None
