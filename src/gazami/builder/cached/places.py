"""The stores of a layer cache: a repository, a directory, images with an inline cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gazami.builder.cached.stores import Stores
from gazami.builder.request import CacheOptions, OutputOptions
from gazami.cache.directory import DirectoryStore
from gazami.cache.inline import InlineStore
from gazami.cache.repository import RepositoryStore
from gazami.cache.store import CacheStore
from gazami.cancel import Cancel
from gazami.events import Emit, Message
from gazami.image.reference import parse_reference
from gazami.registry.client import RegistryClient

_DIRECTORY = "oci:"


def open_stores(
    options: CacheOptions, output: OutputOptions, client: RegistryClient, emit: Emit, cancel: Cancel, *, hides_hits: bool
) -> Stores | None:
    """The stores of a build's cache, or None. Raises :class:`UsageError` for an invalid repository name."""
    if not options.enabled:
        return None
    places = tuple(_places(options, output, client))
    if not places:
        emit(Message("warning", "--cache needs a repository: add --cache-repo or --destination"))
        return None
    return Stores(places, options, emit, cancel, hides_hits=hides_hits)


def _places(options: CacheOptions, output: OutputOptions, registry: RegistryClient) -> Iterator[CacheStore]:
    """The store to write to first, if there is one, then those that are only read."""
    main = main_place(options, output)
    if main is not None and options.bound:
        yield DirectoryStore(Path(main.removeprefix(_DIRECTORY)), registry.transport.cancel, links=True)
    elif main is not None:
        yield from _stores(main, registry, own=True)
    for place in options.sources:
        if place != main:
            yield from _stores(place, registry, own=False)


def _stores(place: str, registry: RegistryClient, *, own: bool) -> Iterator[CacheStore]:
    yield open_store(place, registry)
    if not own and not place.startswith(_DIRECTORY):
        yield InlineStore(registry, parse_reference(place))


def open_store(place: str, registry: RegistryClient) -> DirectoryStore | RepositoryStore:
    """What ``--cache-repo`` names: ``oci:DIR``, or a repository. Raises :class:`UsageError` for one that is no name."""
    if place.startswith(_DIRECTORY):
        return DirectoryStore(Path(place.removeprefix(_DIRECTORY)), registry.transport.cancel)
    return RepositoryStore(registry.for_cache(), parse_reference(place))


def main_place(options: CacheOptions, output: OutputOptions) -> str | None:
    """``--cache-repo`` and ``--cache-to``, else the first destination's repository with ``/cache`` below it, as kaniko's
    default is; None where the cache is only read from elsewhere."""
    if options.repository:
        return options.repository
    if not output.destinations or (options.sources and not options.push):
        return None
    return f"{parse_reference(output.destinations[0]).context}/cache"
