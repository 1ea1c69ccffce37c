"""The image config (OCI config.md, with Docker's additional fields) and its history.

The base's config is read into this value, so keys outside it are lost, as with BuildKit. Durations are nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, TypeAlias

from gazami.errors import RegistryError
from gazami.foreign import printable, read_json
from gazami.image.digest import Digest, parse_digest
from gazami.image.encoding import encode_json
from gazami.image.platform import Platform
from gazami.values import fast_dataclass, field, replace

Pairs: TypeAlias = tuple[tuple[str, str], ...]

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@fast_dataclass(frozen=True, slots=True)
class Healthcheck:
    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@fast_dataclass(frozen=True, slots=True)
class History:
    """One entry; ``created`` is RFC 3339 or None."""

    created: str | None = None
    created_by: str = ""
    comment: str = ""
    author: str = ""
    empty_layer: bool = False


@fast_dataclass(frozen=True, slots=True)
class ImageConfig:
    """``env`` keeps its order. ``entrypoint``, ``cmd`` and ``shell`` are None when unset, which is not ``()``."""

    platform: Platform
    env: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    args_escaped: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""
    onbuild: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None
    healthcheck: Healthcheck | None = None
    author: str = ""
    created: str | None = None
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()
    os_features: tuple[str, ...] = field(default=())

    def with_env(self, key: str, value: str) -> ImageConfig:
        """Set a variable at its position, or append it."""
        return self.with_envs(((key, value),))

    def with_envs(self, pairs: Pairs) -> ImageConfig:
        return replace(self, env=set_pairs(self.env, pairs))

    def with_labels(self, pairs: Pairs) -> ImageConfig:
        return replace(self, labels=set_pairs(self.labels, pairs))


def set_pairs(old: Pairs, new: Pairs) -> Pairs:
    """Set each name at its position, or append it. The pairs that stay are shared."""
    found = dict(zip(map(itemgetter(0), old), old, strict=True))
    found.update((pair[0], pair) for pair in new)
    return tuple(found.values())


def scratch_config(platform: Platform) -> ImageConfig:
    """The config that ``FROM scratch`` starts with."""
    return ImageConfig(platform, env=(("PATH", DEFAULT_PATH),), working_dir="/")


def parse_config(raw: bytes) -> ImageConfig:
    """Read a config blob. Raises :class:`RegistryError` when it is malformed."""
    try:
        document = read_json(raw)
        run: Mapping[str, Any] = document.get("config") or {}
        arch, variant = _word(document.get("architecture")), _word(document.get("variant"))
        return ImageConfig(
            platform=Platform(_word(document.get("os")), arch, variant, _word(document.get("os.version"))),
            env=tuple(_split(each) for each in run.get("Env") or ()),
            entrypoint=_strings(run.get("Entrypoint")),
            cmd=_strings(run.get("Cmd")),
            args_escaped=bool(run.get("ArgsEscaped")),
            labels=tuple((str(key), str(value)) for key, value in (run.get("Labels") or {}).items()),
            exposed_ports=tuple(str(each) for each in run.get("ExposedPorts") or {}),
            volumes=tuple(str(each) for each in run.get("Volumes") or {}),
            working_dir=str(run.get("WorkingDir") or ""),
            user=str(run.get("User") or ""),
            stop_signal=str(run.get("StopSignal") or ""),
            onbuild=_strings(run.get("OnBuild")) or (),
            shell=_strings(run.get("Shell")),
            healthcheck=_healthcheck(run.get("Healthcheck")),
            author=str(document.get("author") or ""),
            created=_time(document.get("created")),
            diff_ids=tuple(parse_digest(each) for each in (document.get("rootfs") or {}).get("diff_ids") or ()),
            history=tuple(_history(each) for each in document.get("history") or ()),
            os_features=_strings(document.get("os.features")) or (),
        )
    except RegistryError:
        raise
    except Exception as cause:
        raise RegistryError(f"the image config is malformed ({type(cause).__name__}: {str(cause)[:200]})") from cause


def encode_config(config: ImageConfig) -> bytes:
    """Compact JSON with the keys in BuildKit's order."""
    document: dict[str, Any] = {}
    if config.created:
        document["created"] = config.created
    if config.author:
        document["author"] = config.author
    document["architecture"] = config.platform.architecture
    if config.platform.variant:
        document["variant"] = config.platform.variant
    document["os"] = config.platform.os
    if config.platform.os_version:
        document["os.version"] = config.platform.os_version
    if config.os_features:
        document["os.features"] = list(config.os_features)
    document["config"] = _encode_run(config)
    document["rootfs"] = {"type": "layers", "diff_ids": list(config.diff_ids)}
    if config.history:
        document["history"] = [_encode_history(each) for each in config.history]
    return encode_json(document)


def _encode_run(config: ImageConfig) -> dict[str, Any]:
    run: dict[str, Any] = {}
    if config.user:
        run["User"] = config.user
    if config.exposed_ports:
        run["ExposedPorts"] = {port: {} for port in sorted(config.exposed_ports)}
    if config.env:
        run["Env"] = [f"{key}={value}" for key, value in config.env]
    if config.entrypoint is not None:
        run["Entrypoint"] = list(config.entrypoint)
    if config.cmd is not None:
        run["Cmd"] = list(config.cmd)
    if config.volumes:
        run["Volumes"] = {path: {} for path in sorted(config.volumes)}
    if config.working_dir:
        run["WorkingDir"] = config.working_dir
    if config.labels:
        run["Labels"] = dict(sorted(config.labels))
    if config.stop_signal:
        run["StopSignal"] = config.stop_signal
    if config.args_escaped:
        run["ArgsEscaped"] = True
    if config.healthcheck is not None:
        run["Healthcheck"] = _encode_healthcheck(config.healthcheck)
    if config.onbuild:
        run["OnBuild"] = list(config.onbuild)
    if config.shell is not None:
        run["Shell"] = list(config.shell)
    return run


def _encode_healthcheck(check: Healthcheck) -> dict[str, Any]:
    named: tuple[tuple[str, Any], ...] = (
        ("Test", list(check.test)),
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
        ("Retries", check.retries),
    )
    return {key: value for key, value in named if value}


def _encode_history(entry: History) -> dict[str, Any]:
    named: tuple[tuple[str, Any], ...] = (
        ("created", entry.created),
        ("created_by", entry.created_by),
        ("author", entry.author),
        ("comment", entry.comment),
        ("empty_layer", entry.empty_layer),
    )
    return {key: value for key, value in named if value}


def _history(value: Mapping[str, Any]) -> History:
    return History(
        _time(value.get("created")),
        str(value.get("created_by") or ""),
        str(value.get("comment") or ""),
        str(value.get("author") or ""),
        bool(value.get("empty_layer")),
    )


def _healthcheck(value: Mapping[str, Any] | None) -> Healthcheck | None:
    if not value:
        return None
    return Healthcheck(
        _strings(value.get("Test")) or (),
        _number(value.get("Interval")),
        _number(value.get("Timeout")),
        _number(value.get("StartPeriod")),
        _number(value.get("StartInterval")),
        _number(value.get("Retries")),
    )


def _word(value: Any) -> str:
    """A short text that is shown in messages."""
    return printable(str(value))[:300] if value else ""


def _number(value: Any) -> int:
    if value is not None and (not isinstance(value, int | float) or not -(1 << 63) <= value < 1 << 63):
        raise ValueError("a number of 64 bits is needed")
    return int(value or 0)


def _time(value: Any) -> str | None:
    """RFC 3339 as it is written; whether it is one is for those who calculate with it."""
    if value is not None and not isinstance(value, str):
        raise ValueError("a time must be a string")
    return value


def _split(pair: Any) -> tuple[str, str]:
    key, _, value = str(pair).partition("=")
    return key, value


def _strings(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):  # very old images store a lone string
        return (value,)
    return tuple(str(each) for each in value)
