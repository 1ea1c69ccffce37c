"""Base images in an OCI layout of this machine: ``oci-layout://PATH[:TAG|@DIGEST]``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gazami.errors import ContextError, RegistryError
from gazami.image.config import parse_config
from gazami.image.digest import Digest, parse_digest
from gazami.image.manifest import Manifest
from gazami.image.model import Layer, LocalFile, Remote
from gazami.image.reference import Reference, parse_reference

if TYPE_CHECKING:
    from gazami.layer.oci_layout import OciLayout
    from gazami.plan.steps import ImageBase
    from gazami.registry.resolved import Resolved

_LAYOUT = "oci-layout://"


def is_layout(reference: str) -> bool:
    return reference.startswith(_LAYOUT)


def image_layers(base: ImageBase, resolved: Resolved) -> tuple[Layer, ...]:
    """The layers of a base with the source of their blobs."""
    pairs = zip(resolved.manifest.layers, resolved.config.diff_ids, strict=True)
    if is_layout(base.reference):
        layout = _split(base.reference)[0]
        return tuple(Layer(descriptor, diff_id, LocalFile(str(layout.path(descriptor.digest)))) for descriptor, diff_id in pairs)
    origin = Remote(parse_reference(base.reference))
    return tuple(Layer(descriptor, diff_id, origin) for descriptor, diff_id in pairs)


def resolve_layout(base: ImageBase) -> Resolved:
    """Read manifest and config of ``oci-layout://PATH[:TAG|@DIGEST]``. Raises :class:`ContextError`, :class:`RegistryError`."""
    from gazami.registry.resolved import NESTING, Resolved, check_is_image, check_layers, choose

    layout, name = _split(base.reference)
    digest = _wanted(layout, name)
    reference = Reference("oci-layout.invalid", "image", None, digest)
    found = layout.manifest(digest)
    for _ in range(NESTING):
        if isinstance(found, Manifest):
            break
        found = layout.manifest(choose(reference, found, base.platform).digest)
    if not isinstance(found, Manifest):
        raise RegistryError(f"the OCI layout {layout.folder} has an index of indexes, more than {NESTING} deep")
    check_is_image(reference, found)
    raw = layout.blob(found.config.digest)
    config = parse_config(raw)
    check_layers(reference, found, config)
    return Resolved(reference, found, found.digest, None, config, raw)


def _split(reference: str) -> tuple[OciLayout, str]:
    from gazami.layer.oci_layout import OciLayout

    text = reference.removeprefix(_LAYOUT)
    path, at, digest = text.partition("@")
    if at:
        return OciLayout(Path(path)), digest
    head, colon, tag = text.rpartition(":")
    return (OciLayout(Path(head)), tag) if colon and "/" not in tag else (OciLayout(Path(text)), "")


def _wanted(layout: OciLayout, name: str) -> Digest:
    found = layout.named(name)
    if found and (name or len(found) == 1):
        return parse_digest(found[0].digest)
    what = f"no image {name!r}" if name else f"{len(found)} images; name one with :TAG or @DIGEST"
    raise ContextError(f"the OCI layout {layout.folder} has {what}")
