"""What a repository has instead of a tag that it lacks: one more request, for a person who has mistyped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gazami.dockerfile.suggest import nearest
from gazami.errors import GazamiError, NotFoundError
from gazami.foreign import printable
from gazami.values import replace

if TYPE_CHECKING:
    from gazami.image.reference import Reference
    from gazami.registry.session import Session

_PAGE = 1000
_SHOWN = 6
_LIMIT = 4 << 20


def explain(error: NotFoundError, reference: Reference, session: Session) -> None:
    """Give the error a hint with the tags that there are. A registry that does not list them changes nothing."""
    from gazami.registry.manifests import call_of, tags_of

    if reference.tag is None or reference.digest is not None or error.status != 404:
        return
    call = replace(call_of("GET", "", reference, "pull"), target=f"/v2/{reference.repository}/tags/list?n={_PAGE}")
    try:
        with session.attempt(call) as response:
            if response.status != 200:
                return
            tags = tags_of(response.read(_LIMIT))
    except GazamiError:
        return
    if tags and reference.tag not in tags:
        error.hint = tag_hint(reference, tags)


def tag_hint(reference: Reference, tags: tuple[str, ...]) -> str:
    """``debian has 12, latest. Did you mean 12?`` Pure."""
    wanted = reference.tag or ""
    close = nearest(wanted, tags) or next((each for each in sorted(tags) if each.startswith(wanted)), None)
    name = reference.with_tag("x").familiar.removesuffix(":x")
    few = list(tags) if len(tags) <= _SHOWN else [*sorted(tags, key=lambda each: _unlike(wanted, each))[: _SHOWN - 1], "…"]
    listed = ", ".join(printable(each) for each in few)
    number = f"{len(tags)} tags: " if len(tags) > _SHOWN else ""
    return f"{name} has {number}{listed}." + (f" Did you mean {printable(close)}?" if close else "")


def _unlike(wanted: str, tag: str) -> tuple[int, int, str]:
    """The tags that begin as the wanted one does come first, the short ones before others."""
    same = 0
    while same < min(len(wanted), len(tag)) and wanted[same] == tag[same]:
        same += 1
    return -same, len(tag), tag
