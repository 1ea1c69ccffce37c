"""Base images in an OCI layout of this machine: ``oci-layout://PATH[:TAG|@DIGEST]``."""

from __future__ import annotations

from pathlib import Path

from gazami.errors import ContextError, IntegrityError, RegistryError
from gazami.foreign import read_json
from gazami.image.config import parse_config
from gazami.image.digest import Digest, hex_of, matches, parse_digest
from gazami.image.manifest import Manifest, parse_manifest
from gazami.image.model import Layer, LocalFile, Remote
from gazami.image.reference import Reference, parse_reference
from gazami.plan.steps import ImageBase
from gazami.registry.resolved import NESTING, Resolved, check_is_image, check_layers, choose

_LAYOUT = "oci-layout://"
MAX_DOCUMENT = 16 << 20
"""Bytes of a manifest or config of a layout; a larger one is refused."""


def is_layout(reference: str) -> bool:
    return reference.startswith(_LAYOUT)


def image_layers(base: ImageBase, resolved: Resolved) -> tuple[Layer, ...]:
    """The layers of a base with the place of their blobs."""
    pairs = zip(resolved.manifest.layers, resolved.config.diff_ids, strict=True)
    if is_layout(base.reference):
        folder = _split(base.reference)[0]
        return tuple(
            Layer(descriptor, diff_id, LocalFile(str(_blob(folder, descriptor.digest))))
            for descriptor, diff_id in pairs
        )
    origin = Remote(parse_reference(base.reference))
    return tuple(Layer(descriptor, diff_id, origin) for descriptor, diff_id in pairs)


def resolve_layout(base: ImageBase) -> Resolved:
    """Read manifest and config of ``oci-layout://PATH[:TAG|@DIGEST]``. Raises :class:`ContextError`, :class:`RegistryError`."""
    folder, name = _split(base.reference)
    try:
        index = read_json((folder / "index.json").read_bytes())
        entries = [each for each in index["manifests"] if isinstance(each, dict)]
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise ContextError(f"{folder} is not an OCI layout", hint="it needs an index.json with manifests") from cause
    digest = _wanted(entries, name, folder)
    reference = Reference("oci-layout.invalid", "image", None, digest)
    found = parse_manifest(_read(folder, digest))
    for _ in range(NESTING):
        if isinstance(found, Manifest):
            break
        found = parse_manifest(_read(folder, choose(reference, found, base.platform).digest))
    if not isinstance(found, Manifest):
        raise RegistryError(f"the OCI layout {folder} has an index of indexes, more than {NESTING} deep")
    check_is_image(reference, found)
    raw = _read(folder, found.config.digest)
    config = parse_config(raw)
    check_layers(reference, found, config)
    return Resolved(reference, found, found.digest, None, config, raw)


def _split(reference: str) -> tuple[Path, str]:
    text = reference.removeprefix(_LAYOUT)
    path, at, digest = text.partition("@")
    if at:
        return Path(path), digest
    head, colon, tag = text.rpartition(":")
    return (Path(head), tag) if colon and "/" not in tag else (Path(text), "")


def _wanted(entries: list[dict[str, object]], name: str, folder: Path) -> Digest:
    for entry in entries:
        notes = entry.get("annotations") or {}
        tag = notes.get("org.opencontainers.image.ref.name") if isinstance(notes, dict) else None
        if name in (entry.get("digest"), tag) or (not name and len(entries) == 1):
            return parse_digest(str(entry.get("digest")))
    what = f"no image {name!r}" if name else f"{len(entries)} images; name one with :TAG or @DIGEST"
    raise ContextError(f"the OCI layout {folder} has {what}")


def _blob(folder: Path, digest: Digest) -> Path:
    return folder / "blobs" / digest.split(":", 1)[0] / hex_of(digest)


def _read(folder: Path, digest: Digest) -> bytes:
    try:
        with _blob(folder, digest).open("rb") as file:
            data = file.read(MAX_DOCUMENT + 1)
    except OSError as cause:
        raise ContextError(f"the OCI layout {folder} lacks the blob {digest}") from cause
    if len(data) > MAX_DOCUMENT:
        raise RegistryError(f"the blob {digest} of the OCI layout {folder} has more than {MAX_DOCUMENT} bytes")
    if not matches(data, digest):
        raise IntegrityError(f"the blob {digest} of the OCI layout {folder} is damaged")
    return data
