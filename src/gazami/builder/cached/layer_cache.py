"""The request's wishes as a layer cache."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gazami.builder.cached.cache_mounts import CacheMounts
from gazami.builder.cached.caching import Caching
from gazami.builder.cached.inputs import ContentInputs
from gazami.builder.cached.keys import StepKeys, run_settings
from gazami.builder.request import BuildRequest
from gazami.builder.stages.copying import TreeOf
from gazami.builder.tools import Tools
from gazami.cache.directory import DirectoryStore
from gazami.cache.inline import InlineStore
from gazami.cache.repository import RepositoryStore
from gazami.cache.store import CacheStore
from gazami.cancel import Cancel
from gazami.events import Message
from gazami.image.reference import parse_reference
from gazami.plan.steps import Plan
from gazami.registry.client import RegistryClient

_DIRECTORY = "oci:"


def open_cache(
    plan: Plan, tools: Tools, tree_of: TreeOf, cancel: Cancel
) -> contextlib.AbstractContextManager[Caching | None]:
    """The cache of a build, or None. Raises :class:`UsageError` for a repository that is no name."""
    request = tools.request
    if not request.cache.enabled:
        return contextlib.nullcontext()
    stores = tuple(open_stores(request, tools.registry))
    if not stores:
        tools.emit(Message("warning", "--cache: there is no place for it, give --cache-repo or a --destination"))
        return contextlib.nullcontext()
    form = request.output.compression + (", no times" if request.snapshot.reproducible else "")
    if tools.newest is not None and not request.snapshot.reproducible:
        form += f", no times after {tools.newest}"
    keys = StepKeys(plan, tools.images, ContentInputs(tools, tree_of), run_settings(request), form)
    caching = Caching(plan, keys, stores, request.cache, tools.layers, tools.emit, cancel)
    tools.indexes.remote = caching
    if request.cache.mounts:
        tools.cache_mounts = CacheMounts(tools, caching, request.cache.mounts)
    return caching


def open_stores(request: BuildRequest, registry: RegistryClient) -> Iterator[CacheStore]:
    """The place that is written to first, if there is one, then those that are only read."""
    if (main := main_place(request)) is not None:
        yield from _stores(main, registry, own=True)
    for place in request.cache.sources:
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


def main_place(request: BuildRequest) -> str | None:
    """``--cache-repo`` and ``--cache-to``, else the first destination's repository with ``/cache`` below it, as kaniko's
    default is; None where the cache is only read from elsewhere."""
    if request.cache.repository:
        return request.cache.repository
    if not request.output.destinations or (request.cache.sources and not request.cache.push):
        return None
    return f"{parse_reference(request.output.destinations[0]).context}/cache"
