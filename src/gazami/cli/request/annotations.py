"""``--annotation`` as buildx users write it: ``[TYPE[[PLATFORM]][,TYPE…]:]KEY=VALUE``. Pure.

A type says what gets the annotation: the image's manifest (the default) or the index of several platforms' images.
"""

from __future__ import annotations

import re

from gazami.dockerfile.suggest import did_you_mean
from gazami.errors import UsageError
from gazami.image.platform import Platform, parse_platform
from gazami.values import fast_dataclass

Pairs = tuple[tuple[str, str], ...]

TYPES = ("manifest", "index", "manifest-descriptor", "index-descriptor")
_PREFIX = re.compile(r"((?:[a-z-]+(?:\[[A-Za-z0-9_/.-]+\])?)(?:,[a-z-]+(?:\[[A-Za-z0-9_/.-]+\])?)*):(.*)", re.DOTALL)
_TYPE = re.compile(r"([a-z-]+)(?:\[(.*)\])?")


@fast_dataclass(frozen=True, slots=True)
class Annotations:
    """``unused`` are the flags of which nothing comes, in words."""

    manifest: Pairs = ()
    index: Pairs = ()
    unused: tuple[str, ...] = ()


def read_annotations(pairs: Pairs, platform: Platform, *, has_index: bool) -> Annotations:
    """Which pairs go where in a build for ``platform``. Raises :class:`UsageError` for a type that does not exist."""
    manifest: dict[str, str] = {}
    index: dict[str, str] = {}
    unused: list[str] = []
    for written, value in pairs:
        types, key = _split(written)
        for kind, wanted in types:
            if wanted is not None and not wanted.accepts(platform):
                continue
            if kind == "manifest":
                manifest[key] = value
            elif kind == "index" and has_index:
                index[key] = value
            else:
                why = "this build makes no index" if kind.startswith("index") else "descriptors get no annotations"
                unused.append(f"--annotation {written}: {why}, it is left out")
    return Annotations(tuple(manifest.items()), tuple(index.items()), tuple(dict.fromkeys(unused)))


def _split(written: str) -> tuple[list[tuple[str, Platform | None]], str]:
    """The types with their platforms, and the key."""
    found = _PREFIX.fullmatch(written)
    if found is None:
        return [("manifest", None)], written
    types: list[tuple[str, Platform | None]] = []
    for word in re.findall(r"[^,\[]+(?:\[[^\]]*\])?", found[1]):
        part = _TYPE.fullmatch(word)
        kind, platform = (part[1], part[2]) if part else (word, None)
        if kind not in TYPES:
            raise UsageError(
                f"--annotation {written}: unknown type {kind!r}{did_you_mean(kind, TYPES)}",
                hint=f"KEY=VALUE, or TYPE:KEY=VALUE with {', '.join(TYPES)}",
            )
        types.append((kind, parse_platform(platform) if platform else None))
    if not found[2]:
        raise UsageError(f"--annotation {written}: the annotation has no key", hint="TYPE:KEY=VALUE")
    return types, found[2]
