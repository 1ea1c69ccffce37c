"""What the build itself keeps or writes below its context is not part of it: state, caches, outputs.

Else a ``COPY . .`` would copy the root that is being built, or the archive of the build before, and no cache would ever hit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from gazami.builder.request import CacheOptions, OutputOptions
from gazami.context.ignore import Ignore
from gazami.errors import UsageError
from gazami.rootfs.folder import Filter

_DIRECTORY = "oci:"


def own_places(output: OutputOptions, cache: CacheOptions, *others: str) -> tuple[str, ...]:
    """Absolute paths of directories and files that this build keeps or writes; ``others`` are its state directories and
    what else it writes."""
    caches = [place.removeprefix(_DIRECTORY) for place in (*cache.repositories, *cache.sources) if place.startswith(_DIRECTORY)]
    places = (*others, cache.directory, *caches, *output.paths)
    return tuple(dict.fromkeys(place for place in places if place.startswith("/")))


def omitted(folder: str, places: Iterable[str], state: str) -> tuple[str, ...]:
    """The paths, relative to the context's ``folder``, that the context lacks. Raises :class:`UsageError` when the state
    directory is the context itself."""
    top = os.path.realpath(folder)
    found = []
    for place in places:
        relative = os.path.relpath(os.path.realpath(place), top)
        if relative == "." and os.path.realpath(state) == top:
            raise UsageError(f"the state directory {place} is the build context", hint="give another directory with --state-dir")
        if relative != "." and not relative.startswith("../") and relative != "..":
            found.append(_outermost(top, relative))
    return tuple(found)


def visible(ignore: Ignore, omitted: tuple[str, ...] = ()) -> Filter:
    """The filter of a context folder: what .dockerignore excludes, and ``omitted`` literal paths that are the build's own."""

    def check(path: str, state: tuple[bool, ...] | None) -> tuple[bool, tuple[bool, ...]]:
        excluded, results = ignore.check(path, state)
        return excluded or any(path == each or path.startswith(each + "/") for each in omitted), results

    if not ignore.patterns and not omitted:
        return Filter()
    return Filter(check, ignore.may_include_below if ignore.has_exceptions else lambda _: False)


def _outermost(top: str, relative: str) -> str:
    """The highest directory that holds only this one, and so was made for it (``.cache`` of ``.cache/gazami``)."""
    while "/" in relative:
        above, _, name = relative.rpartition("/")
        try:
            if os.listdir(f"{top}/{above}") != [name]:
                break
        except OSError:
            break
        relative = above
    return relative
