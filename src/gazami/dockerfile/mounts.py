"""``RUN --mount=…``: the comma-separated fields as a value (frontend reference, RUN --mount). Values are unexpanded."""

from __future__ import annotations

import csv
from collections.abc import Callable

from gazami.dockerfile.suggest import did_you_mean
from gazami.errors import DockerfileError
from gazami.values import dataclass, replace

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_KEYS = (
    "type", "from", "source", "target", "readonly", "id", "sharing", "required", "size", "mode", "uid", "gid", "src",
    "dst", "destination", "ro", "rw", "readwrite", "env",
)  # fmt: skip
_FLAGS = frozenset({"readonly", "ro", "readwrite", "rw", "required"})
_SUFFIXES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@dataclass(frozen=True, slots=True)
class Mount:
    """``mode`` None is the type's default; ``size`` is bytes; ``readonly`` None is the type's default."""

    type: str = "bind"
    from_: str = ""
    source: str = ""
    target: str = ""
    readonly: bool | None = None
    id: str = ""
    sharing: str = ""
    required: bool = False
    size: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    env: str | None = None


def parse_mount(text: str, expand: Callable[[str], str]) -> Mount:
    """Read one ``--mount`` value. ``expand`` is applied to every value except that of ``from``, which must not need it.

    Raises :class:`DockerfileError` without a span.
    """
    mount = Mount()
    for field in _fields(text):
        key, separator, value = field.partition("=")
        key = key.lower()
        if not separator:
            if key not in _FLAGS:
                raise DockerfileError(f"invalid field '{field}' must be a key=value pair")
            mount = _set_flag(mount, key, True)
            continue
        if key not in _KEYS:
            raise DockerfileError(f"unexpected key '{key}' in '{field}'{did_you_mean(key, _KEYS)}")
        if key == "from":
            if "$" in value:
                raise DockerfileError(
                    f"'{value}' in a mount's from= cannot hold a variable",
                    hint="define a stage for it: FROM $IMAGE AS name before this stage, then from=name",
                )
        else:
            value = expand(value)
        mount = _set(mount, key, value, field)
    return _checked(mount)


def mount_source(text: str) -> str:
    """The ``from`` of an unexpanded mount, which never holds a variable; empty when there is none."""
    for field in _fields(text):
        key, _, value = field.partition("=")
        if key.lower() == "from":
            return value
    return ""


def _fields(text: str) -> list[str]:
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as cause:
        raise DockerfileError(f"failed to parse --mount={text}: {cause}") from cause
    return rows[0] if rows else []


def _set_flag(mount: Mount, key: str, on: bool) -> Mount:
    if key == "required":
        if mount.type not in ("secret", "ssh"):
            raise DockerfileError("'required' is a key of secret and ssh mounts; put type= before it")
        return replace(mount, required=on)
    return replace(mount, readonly=on if key in ("readonly", "ro") else not on)


def _set(mount: Mount, key: str, value: str, field: str) -> Mount:
    match key:
        case "type":
            kind = value.lower()
            if kind not in TYPES:
                raise DockerfileError(f"unsupported mount type {value!r}{did_you_mean(value, TYPES)}")
            return replace(mount, type=kind)
        case "from":
            return replace(mount, from_=value)
        case "source" | "src":
            return replace(mount, source=value)
        case "target" | "dst" | "destination":
            return replace(mount, target=value)
        case "readonly" | "ro" | "readwrite" | "rw" | "required":
            return _set_flag(mount, key, _boolean(key, value))
        case "id":
            return replace(mount, id=value)
        case "sharing":
            sharing = value.lower()
            if sharing not in _SHARING:
                raise DockerfileError(f"unsupported sharing value {value!r}{did_you_mean(value, _SHARING)}")
            return replace(mount, sharing=sharing)
        case "size":
            if mount.type != "tmpfs":
                raise DockerfileError(f"unexpected key 'size' for mount type '{mount.type}'")
            return replace(mount, size=_size(value))
        case "mode":
            return replace(mount, mode=_number(key, value, 8))
        case "uid":
            return replace(mount, uid=_number(key, value, 10))
        case "gid":
            return replace(mount, gid=_number(key, value, 10))
        case "env":
            return replace(mount, env=value)
    raise DockerfileError(f"unexpected key '{key}' in '{field}'")


def _boolean(key: str, value: str) -> bool:
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise DockerfileError(f"invalid value for {key}: {value}")


def _number(key: str, value: str, base: int) -> int:
    if not value.isascii() or not value.isdigit():
        raise DockerfileError(f"invalid value {value} for {key}")
    try:
        return int(value, base)
    except ValueError:
        raise DockerfileError(f"invalid value {value} for {key}") from None


def _size(value: str) -> int:
    text = value.lower().removesuffix("ib").removesuffix("b")
    factor = _SUFFIXES.get(text[-1:], 1)
    number = text[:-1] if factor > 1 else text
    try:
        return int(float(number) * factor)
    except (ValueError, OverflowError):
        raise DockerfileError(f"invalid value for size: {value}") from None


def _checked(mount: Mount) -> Mount:
    kind = mount.type
    if mount.from_ and kind in ("secret", "ssh", "tmpfs"):
        raise DockerfileError(f"'from' is not a key of {kind} mounts")
    if kind != "cache" and mount.sharing:
        raise DockerfileError(f"'sharing' is a key of cache mounts only, not of {kind}")
    if kind in ("bind", "tmpfs"):
        for key, value in (("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)):
            if value is not None:
                raise DockerfileError(f"'{key}' is not a key of {kind} mounts")
    if mount.env is not None and kind != "secret":
        raise DockerfileError(f"'env' is a key of secret mounts only, not of {kind}")
    if kind == "secret" and mount.id and mount.source:
        raise DockerfileError("a secret mount takes either id or source, not both")
    if kind == "secret" and not (mount.id or mount.source or mount.target or mount.env):
        raise DockerfileError("a secret mount needs one of id, source or target")
    if kind == "ssh" and mount.source:
        raise DockerfileError("'source' is not a key of ssh mounts")
    if kind in ("bind", "cache", "tmpfs") and not mount.target:
        raise DockerfileError(f"invalid mount target: a {kind} mount needs one")
    return mount
