"""The Dockerfiles of ``gazami lint``: which they are, what their COPYs read from, and how a fixed one is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gazami.dockerfile.check_options import CheckOptions
from gazami.dockerfile.rules import COPY_IGNORED_FILE, INPUT_MISSING, Finding
from gazami.errors import ContextError, HostError, UsageError
from gazami.values import replace

_PATIENCE = 10.0
"""Seconds that Git may take to say what it ignores."""

_OF_THE_CONTEXT = frozenset({COPY_IGNORED_FILE.name, INPUT_MISSING.name})


def files_of(words: Sequence[str]) -> tuple[str, ...]:
    """What the command line names, each once: files as they are, and all Dockerfiles below folders."""
    found: dict[str, str] = {}
    for word in words:
        if word == "-" or not os.path.isdir(word):
            found.setdefault(os.path.normpath(word), word)
            continue
        from gazami.context.dockerfiles import dockerfiles_below

        below = _not_ignored(word, dockerfiles_below(word))
        if not below:
            raise ContextError(f"no Dockerfile below {word}", hint="name the file: gazami lint FILE")
        for path in below:
            found.setdefault(path, path)
    return tuple(found.values())


def _not_ignored(folder: str, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Without those that Git ignores (``.gitignore`` and its other places): copies, builds, checkouts of others. All of them where
    there is no Git, no work tree, or where the folder that was named is ignored itself."""
    if not paths:
        return paths
    import subprocess

    command = ["git", "-C", folder, "-c", "core.fsmonitor=false", "check-ignore", "-z", "--stdin"]
    asked = [os.path.abspath(path) for path in (folder, *paths)]
    try:
        done = subprocess.run(command, input=b"".join(map(_ended, asked)), capture_output=True, check=False, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return paths
    ignored = set(done.stdout.split(b"\0")) if done.returncode == 0 else set()
    if os.fsencode(asked[0]) in ignored:
        return paths
    return tuple(path for path, name in zip(paths, asked[1:], strict=True) if os.fsencode(name) not in ignored)


def _ended(path: str) -> bytes:
    return os.fsencode(path) + b"\0"


def contexts_of(file: str, given: str) -> tuple[str, ...]:
    """Where a Dockerfile's COPYs may read from: what the user says, else the working directory or the file's own folder."""
    own = os.path.dirname(file)
    if given or file == "-" or "://" in file or not own:
        return (given or ".",)
    return (".", own) if os.path.normpath(own) != "." else (".",)


def lacking(findings: Sequence[Finding]) -> int:
    """How many findings say that the context is another one."""
    return sum(finding.rule in _OF_THE_CONTEXT for finding in findings)


def with_unsure_context(findings: tuple[Finding, ...], contexts: Sequence[str], options: CheckOptions) -> tuple[Finding, ...]:
    """The findings where nobody said which folder is the context: that a file is missing is a warning, and can be skipped."""
    looked = f"looked in {' and '.join(contexts)}; --context names another folder"
    return tuple(
        replace(each, level="warning", detail=f"{each.detail} ({looked})") if each.rule == INPUT_MISSING.name else each
        for each in findings
        if each.rule != INPUT_MISSING.name or options.allows(INPUT_MISSING)
    )


def write_fixed(path: Path, before: str, after: str) -> None:
    """Replace a Dockerfile at once, with its mode and owner.

    Raises :class:`GazamiError` for a symlink, and for a file that is not what was read any more.
    """
    from gazami.layer.output_file import write_output

    if path.is_symlink():
        raise UsageError(f"--fix does not write through the symlink {path}", hint="name the file that it points to")
    try:
        if path.read_bytes() != _encoded(before):
            raise ContextError(f"{path} changed while it was checked; it was not fixed", hint="run the command again")
        write_output(path, _encoded(after), like_the_old=True)
    except OSError as cause:
        raise HostError(f"cannot write {path}: {cause.strerror}") from cause


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
