"""The stores of a layer cache: a repository, a directory, images with an inline cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from gazami.builder.cached.step_leases import StepLeases
    from gazami.cache.lease import Leases

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
    main = main_places(options, output)
    if main and options.bound:
        yield DirectoryStore(Path(main[0].removeprefix(_DIRECTORY)), registry.transport.cancel, links=True)
    elif main:
        yield open_stores_of(main, registry)
    for place in options.sources:
        if place not in main:
            yield open_store(place, registry)
            if not place.startswith(_DIRECTORY):
                yield InlineStore(registry, parse_reference(place))


def open_stores_of(places: tuple[str, ...], registry: RegistryClient) -> CacheStore:
    """The cache that ``--cache-repo`` names, whose keys lie in one repository or in several."""
    if len(places) == 1:
        return open_store(places[0], registry)
    from gazami.cache.shards import ShardedStore

    client = registry.for_cache()
    return ShardedStore(tuple(RepositoryStore(client, parse_reference(place)) for place in places))


def open_store(place: str, registry: RegistryClient) -> DirectoryStore | RepositoryStore:
    """The cache of a place: ``oci:DIR``, or a repository. Raises :class:`UsageError` for one that is no name."""
    if place.startswith(_DIRECTORY):
        return DirectoryStore(Path(place.removeprefix(_DIRECTORY)), registry.transport.cancel)
    return RepositoryStore(registry.for_cache(), parse_reference(place))


def main_places(options: CacheOptions, output: OutputOptions) -> tuple[str, ...]:
    """``--cache-repo`` and ``--cache-to``, else the first destination's repository with ``/cache`` below it, as kaniko's
    default is; none where the cache is only read from elsewhere."""
    if options.repositories:
        return options.repositories
    if not output.destinations or (options.sources and not options.push):
        return ()
    return (f"{parse_reference(output.destinations[0]).context}/cache",)


def step_leases(stores: Stores, registry: RegistryClient) -> StepLeases | None:
    """The leases on the keys of the cache that is written to; None where there are none."""
    options, store = stores.options.lease, stores.places[0]
    if options.use == "off" or not stores.options.push or stores.hides_hits:
        return None
    from gazami.builder.cached.step_leases import StepLeases

    leases: Leases
    if isinstance(store, DirectoryStore):
        from gazami.cache.directory_lease import DirectoryLeases

        leases = DirectoryLeases(store.folder, options.bound, lambda: registry.transport.cancel)
    elif options.use == "on":
        from gazami.cache.repository_lease import RepositoryLeases

        def part(key: str) -> RepositoryStore:
            found = store.of(key)
            assert isinstance(found, RepositoryStore)
            return found

        leases = RepositoryLeases(registry.for_cache(), part, options.bound)
    else:
        return None
    return StepLeases(leases, store.name, stores.emit, asked=options.use == "on")
