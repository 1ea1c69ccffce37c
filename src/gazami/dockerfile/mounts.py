"""``RUN --mount=…``: the comma-separated options as a value (frontend reference, RUN --mount). Values are unexpanded.

An option is a field of :class:`Mount`; its row says how it is spelled, how its value is read and which types of mounts have it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gazami.dockerfile.suggest import did_you_mean
from gazami.errors import DockerfileError
from gazami.values import fast_dataclass, field, fields, replace

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_SUFFIXES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

Read = Callable[[str, str], object]
"""An option's spelling and text to its value."""


def _text(_: str, value: str) -> str:
    return value


def _one_of(what: str, words: tuple[str, ...]) -> Read:
    def read(_: str, value: str) -> str:
        if value.lower() not in words:
            raise DockerfileError(f"unsupported {what} {value!r}{did_you_mean(value, words)}")
        return value.lower()

    return read


def _boolean(key: str, value: str) -> bool:
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise DockerfileError(f"invalid value for {key}: {value}")


def _readonly(key: str, value: str) -> bool:
    return _boolean(key, value) != (key in ("readwrite", "rw"))


def _number(key: str, value: str, base: int = 10) -> int:
    if not value.isascii() or not value.isdigit():
        raise DockerfileError(f"invalid value {value} for {key}")
    try:
        return int(value, base)
    except ValueError:
        raise DockerfileError(f"invalid value {value} for {key}") from None


def _size(_: str, value: str) -> int:
    text = value.lower().removesuffix("ib").removesuffix("b")
    factor = _SUFFIXES.get(text[-1:], 1)
    number = text[:-1] if factor > 1 else text
    try:
        return int(float(number) * factor)
    except (ValueError, OverflowError):
        raise DockerfileError(f"invalid value for size: {value}") from None


@fast_dataclass(frozen=True, slots=True)
class MountOption:
    """A row. ``of`` are the types that have the option. A ``typed`` one is refused as soon as it is read, so that ``type=`` has
    to stand before it. ``name`` is the field's."""

    spellings: tuple[str, ...]
    default: object
    read: Read
    of: tuple[str, ...] = TYPES
    typed: bool = False
    name: str = ""


def _option(default: object, *spellings: str, read: Read = _text, of: tuple[str, ...] = TYPES, typed: bool = False) -> Any:
    return field(default=default, metadata={"option": MountOption(spellings, default, read, of=of, typed=typed)})


@fast_dataclass(frozen=True, slots=True)
class Mount:
    """``mode`` None is the type's default; ``size`` is bytes; ``readonly`` None is the type's default. The order of the fields is
    that of a cache key's input: a new row goes to the end."""

    type: str = _option("bind", "type", read=_one_of("mount type", TYPES))
    from_: str = _option("", "from", of=("bind", "cache"))
    source: str = _option("", "source", "src", of=("bind", "cache", "tmpfs", "secret"))
    target: str = _option("", "target", "dst", "destination")
    readonly: bool | None = _option(None, "readonly", "ro", "rw", "readwrite", read=_readonly)
    id: str = _option("", "id")
    sharing: str = _option("", "sharing", read=_one_of("sharing value", _SHARING), of=("cache",))
    required: bool = _option(False, "required", read=_boolean, of=("secret", "ssh"), typed=True)
    size: int | None = _option(None, "size", read=_size, of=("tmpfs",), typed=True)
    mode: int | None = _option(None, "mode", read=partial(_number, base=8), of=("cache", "secret", "ssh"))
    uid: int | None = _option(None, "uid", read=_number, of=("cache", "secret", "ssh"))
    gid: int | None = _option(None, "gid", read=_number, of=("cache", "secret", "ssh"))
    env: str | None = _option(None, "env", of=("secret",))


OPTIONS = tuple(replace(each.metadata["option"], name=each.name) for each in fields(Mount))
_BY_SPELLING = {each: option for at in range(4) for option in OPTIONS for each in option.spellings[at : at + 1]}
"""The usual spellings first: the nearest of them is what a typing mistake most likely means."""

_SWITCHES = frozenset({"readonly", "required"})
"""Fields whose options need no value."""


def parse_mount(text: str, expand: Callable[[str], str]) -> Mount:
    """Read one ``--mount`` value. ``expand`` is applied to every value except that of ``from``, which must not need it.

    Raises :class:`DockerfileError` without a span.
    """
    mount = Mount()
    for word in _words(text):
        key, separator, value = word.partition("=")
        key = key.lower()
        option = _BY_SPELLING.get(key)
        if not separator and (option is None or option.name not in _SWITCHES):
            raise DockerfileError(f"invalid field '{word}' must be a key=value pair")
        if option is None:
            raise DockerfileError(f"unexpected key '{key}' in '{word}'{did_you_mean(key, _BY_SPELLING)}")
        if key == "from":
            if "$" in value:
                raise DockerfileError(
                    f"'{value}' in a mount's from= cannot hold a variable",
                    hint="define a stage for it: FROM $IMAGE AS name before this stage, then from=name",
                )
        elif separator:
            value = expand(value)
        if option.typed and mount.type not in option.of:
            raise _refusal(option, mount)
        read: dict[str, Any] = {option.name: option.read(key, value if separator else "true")}
        mount = replace(mount, **read)
    return _checked(mount)


def mount_source(text: str) -> str:
    """The ``from`` of an unexpanded mount, which never holds a variable; empty when there is none."""
    for word in _words(text):
        key, _, value = word.partition("=")
        if key.lower() == "from":
            return value
    return ""


def _words(text: str) -> list[str]:
    import csv

    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as cause:
        raise DockerfileError(f"failed to parse --mount={text}: {cause}") from cause
    return rows[0] if rows else []


def _checked(mount: Mount) -> Mount:
    for option in OPTIONS:
        if not option.typed and mount.type not in option.of and getattr(mount, option.name) != option.default:
            raise _refusal(option, mount)
    if mount.type == "secret" and mount.id and mount.source:
        raise DockerfileError("a secret mount takes either id or source, not both")
    if mount.type == "secret" and not (mount.id or mount.source or mount.target or mount.env):
        raise DockerfileError("a secret mount needs one of id, source or target")
    if mount.type in ("bind", "cache", "tmpfs") and not mount.target:
        raise DockerfileError(f"invalid mount target: a {mount.type} mount needs one")
    return mount


def _refusal(option: MountOption, mount: Mount) -> DockerfileError:
    key = option.spellings[0]
    match key:
        case "required":
            return DockerfileError("'required' is a key of secret and ssh mounts; put type= before it")
        case "size":
            return DockerfileError(f"unexpected key 'size' for mount type '{mount.type}'")
    if len(option.of) == 1:
        return DockerfileError(f"'{key}' is a key of {option.of[0]} mounts only, not of {mount.type}")
    return DockerfileError(f"'{key}' is not a key of {mount.type} mounts")
