"""Flags from files: TOML tables as words, below what variables and the command line say. Pure.

Two files are read: the user's own, which may set every flag, and ``gazami.toml`` of the working directory. That one may come with
a checkout, and so from anybody: it may set what its Dockerfile could decide as well, and nothing about where bytes go, who is
trusted, how steps are isolated, or what of this machine is read (ADR 17). A key that it may not set is an error, not a silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gazami.cli.flags import docker, options
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.option import Option, Table, Written
from gazami.dockerfile.suggest import nearest
from gazami.errors import UsageError
from gazami.values import fast_dataclass, replace

OF_PROJECT = frozenset(
    option.name
    for option in (
        options.DOCKERFILE, options.BUILD_ARG, options.TARGET, options.LABEL, options.CUSTOM_PLATFORM, options.ANNOTATION,
        options.IMAGE_FORMAT, options.COMPRESSION, options.COMPRESSION_LEVEL, options.REPRODUCIBLE, options.SINGLE_SNAPSHOT,
        options.SNAPSHOT_MODE, options.SHM_SIZE, options.TIMEOUT, options.NO_CACHE, options.CACHE_COPY_LAYERS,
        options.CACHE_RUN_LAYERS, options.PROGRESS, docker.NO_CACHE_FILTER, docker.SQUASH,
    )
)  # fmt: skip
"""What a project's file may set."""

_CONTROLS = "BUILDKIT_"
"""Build arguments for the builder rather than for the Dockerfile."""


@fast_dataclass(frozen=True, slots=True)
class SettingsFile:
    """``name`` is for messages; ``document`` is what TOML made of it. ``of_project``: anybody may have written it."""

    name: str
    document: Mapping[str, Any]
    of_project: bool = False


def with_settings(flags: Flags, table: Table, files: Iterable[SettingsFile]) -> Flags:
    """``flags`` with what they lack from the files, the first of which wins. What repeats adds up, the command line last, so that
    it wins where a key is given twice. Raises :class:`UsageError` that names the file and the key."""
    written = dict(flags.written)
    for file in files:
        for key, value in file.document.items():
            option = table.long(key)
            if option is None:
                _check_known(file, key, table)
                continue  # a flag of another command
            own = Written(option.name, tuple(_words(file, key, option, value)), f"{file.name}: {key}")
            if file.of_project:
                _check_allowed(file, option, own)
            option.kind.read(own)
            if option.kind.repeatable and option.name in written:
                own = replace(written[option.name], words=(*own.words, *written[option.name].words))
            elif option.name in written:
                continue
            written[option.name] = own
    return replace(flags, written=written)


def _words(file: SettingsFile, key: str, option: Option[object], value: object) -> Iterable[str]:
    """A value as on the command line; a table stands for pairs."""
    if isinstance(value, Mapping):
        value = [f"{name}={_word(file, key, each)}" for name, each in value.items()]
    if not isinstance(value, list):
        return [_word(file, key, value)]
    if not option.kind.repeatable:
        raise UsageError(f"{file.name}: {key} takes one value, not several")
    return [_word(file, key, each) for each in value]


def _word(file: SettingsFile, key: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise UsageError(
        f"{file.name}: {key} is a {type(value).__name__}", hint="write text, a number, true or false, or a list of text"
    )


def _check_known(file: SettingsFile, key: str, table: Table) -> None:
    every = Table((*options.BUILD, *docker.DOCKER))
    if every.long(key) is not None or key in _OTHERS:
        return
    close = nearest(key, {*every.names, *table.names})
    raise UsageError(f"{file.name}: {key!r} is not a flag of gazami", hint=f"did you mean {close}?" if close else None)


def _check_allowed(file: SettingsFile, option: Option[object], written: Written) -> None:
    if option.name not in OF_PROJECT:
        raise UsageError(
            f"{file.name}: {option.name} cannot be set by the file of a project, which may come with anybody's branch",
            hint=f"give it as a flag, as the variable {option.variable}, or in your own config.toml",
        )
    for word in written.words:
        name = word.partition("=")[0]
        if option.name == options.DOCKERFILE.name and (word in ("", "-") or "://" in word or word.startswith("/") or _climbs(word)):
            raise UsageError(f"{file.name}: dockerfile is {word!r}", hint="write a path below the working directory")
        if option.name == options.BUILD_ARG.name and ("=" not in word or name.startswith(_CONTROLS)):
            raise UsageError(
                f"{file.name}: build-arg {name}", hint="write NAME=VALUE; the environment and BUILDKIT_… are not for it"
            )


def _climbs(path: str) -> bool:
    return ".." in path.split("/")


_OTHERS = frozenset({"username", "max-size", "json", "executor-image", "namespace", "service-account", "kube-context"})
"""Flags of smaller commands that a user may want to set."""
