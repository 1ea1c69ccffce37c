"""Descriptors, manifests and indexes, in their OCI and Docker forms (OCI image spec: descriptor, manifest, image-index).

The received bytes stay the truth: ``raw`` is what was hashed, and nothing is re-encoded from a parsed value.
"""

from __future__ import annotations

from typing import Any

from gazami.errors import RegistryError
from gazami.foreign import printable, read_json
from gazami.image.digest import Digest, digest_of, parse_digest
from gazami.image.encoding import encode_json
from gazami.image.platform import Platform
from gazami.values import fast_dataclass, field

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"
DOCKER_LAYER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (OCI_INDEX, DOCKER_MANIFEST_LIST)
ACCEPT = ", ".join((OCI_INDEX, DOCKER_MANIFEST_LIST, OCI_MANIFEST, DOCKER_MANIFEST))

MAX_MANIFEST = 4 * 1024 * 1024
"""Bytes; a larger manifest is refused, as registries do."""


@fast_dataclass(frozen=True, slots=True)
class Descriptor:
    """What points at a blob or a manifest: its type, digest and exact size in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: tuple[tuple[str, str], ...] = ()
    platform: Platform | None = None
    urls: tuple[str, ...] = ()

    def encode(self) -> dict[str, Any]:
        out: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.urls:
            out["urls"] = list(self.urls)
        if self.annotations:
            out["annotations"] = dict(self.annotations)
        if self.platform is not None:
            out["platform"] = encode_platform(self.platform)
        return out


@fast_dataclass(frozen=True, slots=True)
class Manifest:
    """One image: a config and layers, lowest first. ``digest`` is of ``raw``."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    raw: bytes
    digest: Digest
    annotations: tuple[tuple[str, str], ...] = ()
    artifact_type: str | None = None

    @property
    def is_oci(self) -> bool:
        return self.media_type == OCI_MANIFEST

    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, self.digest, len(self.raw))


@fast_dataclass(frozen=True, slots=True)
class Index:
    """Several manifests, one for each platform."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    raw: bytes
    digest: Digest
    annotations: tuple[tuple[str, str], ...] = field(default=())

    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, self.digest, len(self.raw))


def parse_manifest(raw: bytes, media_type: str | None = None) -> Manifest | Index:
    """Read the bytes of a manifest or an index. ``media_type`` is the registry's Content-Type, used where the document
    has none of its own. Raises :class:`RegistryError` when it is neither, is malformed, or is a schema 1 manifest."""
    try:
        document = read_json(raw)
        if not isinstance(document, dict):
            raise TypeError
        kind = _word(document.get("mediaType") or (media_type or "").split(";")[0].strip())
        if kind not in MANIFEST_TYPES + INDEX_TYPES:
            kind = OCI_INDEX if "manifests" in document else OCI_MANIFEST
        if document.get("schemaVersion") != 2:
            raise RegistryError(
                "the image has a schema 1 manifest, which is obsolete", hint="push the image again with a current Docker or skopeo"
            )
        notes = _annotations(document)
        if kind in INDEX_TYPES:
            found = tuple(_descriptor(each) for each in document["manifests"] or ())
            return Index(kind, found, raw, digest_of(raw), notes)
        config = _descriptor(document["config"])
        layers = tuple(_descriptor(each) for each in document.get("layers") or ())
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise RegistryError(f"the manifest is malformed ({type(cause).__name__}: {str(cause)[:200]})") from cause
    return Manifest(kind, config, layers, raw, digest_of(raw), notes, _word(document.get("artifactType")) or None)


def encode_manifest(
    media_type: str, config: Descriptor, layers: tuple[Descriptor, ...], annotations: tuple[tuple[str, str], ...] = ()
) -> Manifest:
    """A new manifest and its bytes (two-space indented JSON, as BuildKit writes it)."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config.encode(),
        "layers": [layer.encode() for layer in layers],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    raw = encode_json(document, indent=2)
    return Manifest(media_type, config, layers, raw, digest_of(raw), annotations)


def encode_index(
    manifests: tuple[Descriptor, ...], media_type: str = OCI_INDEX, annotations: tuple[tuple[str, str], ...] = ()
) -> Index:
    """A new index and its bytes."""
    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": media_type, "manifests": [each.encode() for each in manifests]}
    if annotations:
        document["annotations"] = dict(annotations)
    raw = encode_json(document, indent=2)
    return Index(media_type, manifests, raw, digest_of(raw))


def choose_manifest(index: Index, platform: Platform) -> Descriptor | None:
    """The entry for ``platform``: an exact variant first, then one that the platform accepts; attestations never."""
    candidates = [
        each
        for each in index.manifests
        if each.platform is not None and each.media_type in MANIFEST_TYPES + INDEX_TYPES and platform.accepts(each.platform)
    ]
    exact = [each for each in candidates if each.platform and each.platform.variant == platform.variant]
    if exact or candidates:
        return (exact or candidates)[0]
    plain = [each for each in index.manifests if each.platform is None and each.media_type in MANIFEST_TYPES]
    return plain[0] if len(plain) == 1 and len(index.manifests) == 1 else None


def encode_platform(platform: Platform) -> dict[str, str]:
    out = {"architecture": platform.architecture, "os": platform.os}
    if platform.os_version:
        out["os.version"] = platform.os_version
    if platform.variant:
        out["variant"] = platform.variant
    return out


def _annotations(document: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    notes = document.get("annotations") or {}
    return tuple((str(key), str(value)) for key, value in notes.items())


def _word(value: Any) -> str:
    """A short text of a document; it is shown in messages and compared with words of the specifications."""
    return printable(str(value))[:300] if value else ""


def _descriptor(value: dict[str, Any]) -> Descriptor:
    size = value["size"]
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError("a descriptor's size must be a number of bytes")
    try:
        digest = parse_digest(str(value["digest"]))
    except Exception as cause:
        raise ValueError(str(cause)) from cause
    platform = None
    if value.get("platform"):
        given = value["platform"]
        arch, variant = _word(given.get("architecture")), _word(given.get("variant"))
        if arch == "arm64" and variant == "v8":
            variant = ""
        elif arch == "arm" and not variant:
            variant = "v7"
        platform = Platform(_word(given.get("os")), arch, variant, _word(given.get("os.version")))
    return Descriptor(
        _word(value.get("mediaType")),
        digest,
        size,
        _annotations(value),
        platform,
        tuple(str(url) for url in value.get("urls") or ()),
    )
