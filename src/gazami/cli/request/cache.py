"""The layer cache: where it is, what it holds, how old it may be; ``--cache-from`` and ``--cache-to`` as buildx users write
them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.builder.request import CachedLayers, CacheOptions, LeaseOptions
from gazami.cli.flags import options
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.docker import NO_CACHE_FILTER
from gazami.cli.paths import absolute, absolute_cache
from gazami.cli.request.exports import fields_of
from gazami.errors import UsageError
from gazami.values import fast_dataclass


def cache_options(flags: Flags, cwd: str, *, push_image: bool, own: str = "") -> CacheOptions:
    """``own`` is the folder of this machine's own cache, if it may be used. Raises :class:`UsageError` for a cache that has no
    repository."""
    sources = read_cache_from(flags[options.CACHE_FROM])
    inline = ("inline",) if "BUILDKIT_INLINE_CACHE=1" in flags[options.BUILD_ARG] else ()
    target = read_cache_to((*flags[options.CACHE_TO], *inline))
    enabled = (flags[options.CACHE] or bool(sources) or target is not None) and not flags[options.NO_CACHE]
    repositories = flags[options.CACHE_REPO]
    push = not flags[options.NO_PUSH_CACHE]
    everything = target is not None or bool(sources)
    elsewhere = everything or (flags[options.CACHE] and (repositories or push_image))
    if own and not elsewhere and not flags[options.NO_CACHE]:
        return _own_cache(flags, cwd, own)
    if target is not None:
        repositories = repositories or ((target.place,) if target.place else ())
    elif sources and not flags[options.CACHE]:
        push = False
    if enabled and not push_image and not repositories and push and not everything:
        raise UsageError("if using cache with --no-push, specify cache repo with --cache-repo")
    return CacheOptions(
        enabled=enabled,
        repositories=tuple(absolute_cache(each, cwd) for each in repositories),
        sources=tuple(absolute_cache(source, cwd) for source in sources),
        inline=target is not None and target.inline,
        use="write" if push and not (target is not None and target.inline and not repositories) else "read",
        layers=CachedLayers(flags[options.CACHE_RUN_LAYERS], flags[options.CACHE_COPY_LAYERS] or everything),
        ttl=flags[options.CACHE_TTL],
        directory=absolute(flags[options.CACHE_DIR], cwd),
        mounts=flags[options.CACHE_MOUNTS_MAX] if flags[options.CACHE_MOUNTS] else 0,
        stages_without=flags[NO_CACHE_FILTER],
        lease=_lease(flags),
    )


def _own_cache(flags: Flags, cwd: str, folder: str) -> CacheOptions:
    """All steps are cached, for as long as there is room."""
    return CacheOptions(
        enabled=True,
        repositories=(f"oci:{folder}",),
        use="read" if flags[options.NO_PUSH_CACHE] else "write",
        layers=CachedLayers(flags[options.CACHE_RUN_LAYERS], True),
        ttl=flags[options.CACHE_TTL] if flags.given(options.CACHE_TTL) else 0.0,
        directory=absolute(flags[options.CACHE_DIR], cwd),
        stages_without=flags[NO_CACHE_FILTER],
        bound=flags[options.LOCAL_CACHE_MAX],
        lease=_lease(flags),
    )


def _lease(flags: Flags) -> LeaseOptions:
    return LeaseOptions(flags[options.CACHE_LEASE], flags[options.CACHE_LEASE_TIMEOUT])


def wants_own_cache(flags: Flags, environ: Mapping[str, str], *, in_container: bool) -> bool:
    """Whether a build that names no cache keeps one on this machine: a container and a CI job would throw it away."""
    if flags[options.LOCAL_CACHE] == "auto":
        return flags[options.CACHE] or not (in_container or environ.get("CI") or flags.given(options.CACHE))
    return flags[options.LOCAL_CACHE] == "on"


@fast_dataclass(frozen=True, slots=True)
class CacheTarget:
    """``place`` is a repository or ``oci:DIR``."""

    place: str = ""
    inline: bool = False


def read_cache_from(words: tuple[str, ...]) -> tuple[str, ...]:
    """``type=registry,ref=REF``, ``type=local,src=DIR`` or a bare reference → places. Raises :class:`UsageError`."""
    return tuple(_cache_place("--cache-from", word, "src") for word in words)


def read_cache_to(words: tuple[str, ...]) -> CacheTarget | None:
    """Raises :class:`UsageError`, also for more than one place to write to."""
    inline = [word for word in words if word == "inline" or fields_of(word).get("type") == "inline"]
    places = [_cache_place("--cache-to", word, "dest") for word in words if word not in inline]
    if len(places) > 1:
        raise UsageError("--cache-to: only one cache can be written", hint="copy it afterwards, or build twice")
    return CacheTarget("".join(places), bool(inline)) if words else None


def _cache_place(flag: str, word: str, key: str) -> str:
    fields = fields_of(word)
    if not fields:
        return word
    kind = fields.get("type", "registry")
    if kind == "registry" and fields.get("ref"):
        return fields["ref"]
    if kind == "local" and fields.get(key):
        return f"oci:{fields[key]}"
    raise UsageError(
        f"{flag} {word}: gazami has no cache of that type", hint=f"type=registry,ref=REF; type=local,{key}=DIR; type=inline"
    )
