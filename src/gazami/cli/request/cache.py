"""The layer cache: where it is, what it holds, how old it may be; ``--cache-from`` and ``--cache-to`` as buildx users write
them. Pure."""

from __future__ import annotations

from gazami.builder.request import CacheOptions
from gazami.cli.flags import options
from gazami.cli.flags.argv import Flags
from gazami.cli.paths import absolute, absolute_cache
from gazami.cli.request.exports import fields_of
from gazami.errors import UsageError
from gazami.values import fast_dataclass


def cache_options(flags: Flags, cwd: str, *, push_image: bool) -> CacheOptions:
    """Raises :class:`UsageError` for a cache that has no repository."""
    sources = read_cache_from(flags[options.CACHE_FROM])
    inline = ("inline",) if "BUILDKIT_INLINE_CACHE=1" in flags[options.BUILD_ARG] else ()
    target = read_cache_to((*flags[options.CACHE_TO], *inline))
    enabled = (flags[options.CACHE] or bool(sources) or target is not None) and not flags[options.NO_CACHE]
    repository = flags[options.CACHE_REPO]
    push = not flags[options.NO_PUSH_CACHE]
    everything = target is not None or bool(sources)
    if target is not None:
        repository = repository or target.place
    elif sources and not flags[options.CACHE]:
        push = False
    if enabled and not push_image and not repository and push and not everything:
        raise UsageError("if using cache with --no-push, specify cache repo with --cache-repo")
    return CacheOptions(
        enabled=enabled,
        repository=absolute_cache(repository, cwd),
        sources=tuple(absolute_cache(source, cwd) for source in sources),
        inline=target is not None and target.inline,
        push=push and not (target is not None and target.inline and not repository),
        copy_layers=flags[options.CACHE_COPY_LAYERS] or everything,
        run_layers=flags[options.CACHE_RUN_LAYERS],
        ttl=flags[options.CACHE_TTL],
        directory=absolute(flags[options.CACHE_DIR], cwd),
        mounts=flags[options.CACHE_MOUNTS_MAX] if flags[options.CACHE_MOUNTS] else 0,
    )


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
