"""Ask one registry about manifests: what a reference names there, and which tags there are."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gazami.dockerfile.suggest import nearest
from gazami.errors import GazamiError, NotFoundError, RegistryError, UsageError
from gazami.foreign import printable, read_json
from gazami.image.digest import parse_digest
from gazami.image.manifest import ACCEPT, INDEX_TYPES, MANIFEST_TYPES, MAX_MANIFEST, Descriptor, Index, Manifest
from gazami.image.manifest import parse_manifest as read_manifest
from gazami.registry.resolved import verify_manifest
from gazami.registry.session import Call
from gazami.registry.wire import parse_length
from gazami.values import replace

if TYPE_CHECKING:
    from gazami.image.reference import Reference
    from gazami.registry.options import Direction
    from gazami.registry.pull import Origin
    from gazami.registry.session import Session

NO_HEAD = (400, 405, 501)
"""Statuses of registries that do not know HEAD there."""

_PAGE = 1000
_SHOWN = 6
"""Tags that a hint names."""


def head_manifest(origin: Origin, reference: Reference) -> Descriptor | None:
    """Type, digest and size; None where the answer does not say enough. Raises :class:`NotFoundError`."""
    call = _manifest_call("HEAD", origin, reference)
    with origin.session.send(call) as response:
        if response.status in NO_HEAD:
            return None
        if response.status != 200:
            raise origin.session.refusal(response, f"look for {reference}", call)
        digest, size = response.header("Docker-Content-Digest"), parse_length(response.header("Content-Length"))
        media_type = (response.header("Content-Type") or "").partition(";")[0].strip()
    if digest and size is not None and media_type in MANIFEST_TYPES + INDEX_TYPES:
        with contextlib.suppress(UsageError):
            return Descriptor(media_type, parse_digest(digest), size)
    return None


def get_manifest(origin: Origin, reference: Reference) -> Manifest | Index:
    """What ``origin`` has under the reference's tag or digest, checked. Raises as ``RegistryClient.get_manifest``."""
    call = _manifest_call("GET", origin, reference)
    with origin.session.fetch(call, MAX_MANIFEST) as response:
        if response.status != 200:
            raise origin.session.refusal(response, f"pull {reference}", call)
        raw = response.body
        announced, media_type = response.header("Docker-Content-Digest"), response.header("Content-Type")
    verify_manifest(reference, raw, announced)
    return read_manifest(raw, media_type)


def _manifest_call(method: str, origin: Origin, reference: Reference) -> Call:
    there = replace(reference, registry=origin.session.registry, repository=origin.repository)
    call = call_of(method, f"manifests/{reference.identifier}", there, "pull")
    return replace(call, headers=(("Accept", ACCEPT),))


def call_of(method: str, path: str, reference: Reference, direction: Direction) -> Call:
    """A request below the reference's repository, with the scope that it needs."""
    actions = "pull" if direction == "pull" else "pull,push"
    scopes = (f"repository:{reference.repository}:{actions}",)
    return Call(method, f"/v2/{reference.repository}/{path}", reference.repository, scopes)


def tags_of(raw: bytes) -> tuple[str, ...]:
    """The tags of one page of a list. Raises :class:`RegistryError`."""
    try:
        return tuple(str(tag) for tag in read_json(raw).get("tags") or ())
    except (ValueError, AttributeError, TypeError):
        raise RegistryError("the registry's list of tags is malformed") from None


# -- what there is instead ---------------------------------------------------------------------------------------------


def explain_missing(error: NotFoundError, reference: Reference, session: Session) -> None:
    """Give the error a hint with the tags that there are. A registry that does not list them changes nothing."""
    if reference.tag is None or reference.digest is not None or error.status != 404:
        return
    call = replace(call_of("GET", "", reference, "pull"), target=f"/v2/{reference.repository}/tags/list?n={_PAGE}")
    try:
        with session.attempt(call) as response:
            if response.status != 200:
                return
            tags = tags_of(response.read(MAX_MANIFEST))
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
