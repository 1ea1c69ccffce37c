"""The request's wishes as a layer cache."""

from __future__ import annotations

import contextlib
from pathlib import Path

from gazami.builder.caching import Caching
from gazami.builder.copying import TreeOf
from gazami.builder.inputs import ContentInputs
from gazami.builder.keys import StepKeys, run_settings
from gazami.builder.request import BuildRequest
from gazami.builder.tools import Tools
from gazami.cache.directory import DirectoryStore
from gazami.cache.repository import RepositoryStore
from gazami.cache.store import CacheStore
from gazami.cancel import Cancel
from gazami.events import Message
from gazami.image.reference import Reference, parse_reference
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
    store = open_store(request, tools.registry)
    if store is None:
        tools.emit(Message("warning", "--cache: there is no place for it, give --cache-repo or a --destination"))
        return contextlib.nullcontext()
    keys = StepKeys(
        plan, tools.images, ContentInputs(tools, tree_of), run_settings(request), request.output.compression
    )
    caching = Caching(plan, keys, (store,), request.cache, tools.layers, tools.emit, cancel)
    tools.indexes.remote = caching
    return caching


def open_store(request: BuildRequest, registry: RegistryClient) -> CacheStore | None:
    name = request.cache.repository
    if name.startswith(_DIRECTORY):
        return DirectoryStore(Path(name.removeprefix(_DIRECTORY)))
    reference = cache_repository(request)
    return RepositoryStore(registry, reference) if reference is not None else None


def cache_repository(request: BuildRequest) -> Reference | None:
    """``--cache-repo``, else the first destination's repository with ``/cache`` below it, as kaniko's default is."""
    if name := request.cache.repository:
        return None if name.startswith(_DIRECTORY) else parse_reference(name)
    if not request.output.destinations:
        return None
    first = parse_reference(request.output.destinations[0])
    return Reference(first.registry, f"{first.repository}/cache", "latest")
