"""Images that exist already, on their way to registries: an OCI layout, its archive, or an archive of docker save."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from gazami.builder.workspace import Workspace
from gazami.errors import ArchiveError, IntegrityError, UsageError
from gazami.events import Emit, Exported
from gazami.foreign import read_json
from gazami.image.config import parse_config
from gazami.image.digest import Digest, digest_of, hasher_for, hex_of, is_digest, matches
from gazami.image.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_LAYER_ZSTD,
    DOCKER_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    encode_manifest,
    parse_manifest,
)
from gazami.image.reference import Reference
from gazami.layer.compression import decompressed, detect
from gazami.layer.pack import Packing, pack_layer
from gazami.registry.client import RegistryClient
from gazami.registry.transfer import Uploads
from gazami.values import dataclass

_CHUNK = 1 << 20
_BLOB = re.compile(r"(?:\./)?blobs/(sha256/[0-9a-f]{64}|sha512/[0-9a-f]{128})\Z")
_SMALL = 8 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """An image or an index of images whose blobs are files of this machine. ``members`` are an index's manifests."""

    top: Manifest | Index
    members: tuple[Manifest, ...]
    blobs: Path
    """A folder ``<algorithm>/<hex>``."""

    def file(self, digest: Digest) -> Path:
        return self.blobs / digest.split(":", 1)[0] / hex_of(digest)


def load(path: Path, name: str, workspace: Workspace) -> Stored:
    """Read ``path``; ``name`` chooses among several images of a layout. What an archive holds is put into the workspace.

    Raises :class:`UsageError` when there is no such image, :class:`ArchiveError` or :class:`IntegrityError` for damage.
    """
    if path.is_dir():
        return _layout(path, name)
    if not path.is_file():
        raise UsageError(f"{path} does not exist", hint="name an OCI layout directory, or an archive of an image")
    try:
        with tarfile.open(path) as archive:
            found = _archived(archive, name, workspace)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as cause:
        raise ArchiveError(f"{path} is no tar archive, or a damaged one ({type(cause).__name__})") from cause
    if found is None:
        raise UsageError(f"{path} is neither an OCI archive nor one of docker save")
    return found


def _archived(archive: tarfile.TarFile, name: str, workspace: Workspace) -> Stored | None:
    members = {member.name.removeprefix("./"): member for member in archive if member.isfile()}
    if "index.json" in members:
        return _oci_archive(archive, members, name, workspace)
    if "manifest.json" in members:
        return _docker_archive(archive, members, workspace)
    return None


def publish(stored: Stored, references: tuple[Reference, ...], client: RegistryClient, emit: Emit) -> Digest:
    """Push to every reference; the digest. Raises what the registry says."""
    manifests = stored.members or ((stored.top,) if isinstance(stored.top, Manifest) else ())
    for reference in references:
        with Uploads(client) as uploads:
            for manifest in manifests:
                for blob in (manifest.config, *manifest.layers):
                    path = stored.file(blob.digest)
                    if blob.urls and not path.exists():
                        continue  # a foreign layer is fetched from its own place
                    uploads.submit(reference, blob, _opener(path))
            uploads.wait()
        for manifest in stored.members:
            client.push_manifest(
                Reference(reference.registry, reference.repository, None, manifest.digest),
                manifest.raw,
                manifest.media_type,
            )
        client.push_manifest(reference, stored.top.raw, stored.top.media_type)
        emit(Exported("image", str(reference), stored.top.digest))
    return stored.top.digest


def _opener(path: Path) -> Callable[[], BinaryIO]:
    def open_file() -> BinaryIO:
        return path.open("rb")

    return open_file


# -- OCI --------------------------------------------------------------------------------------------------------------


def _layout(folder: Path, name: str) -> Stored:
    try:
        listed = read_json((folder / "index.json").read_bytes())["manifests"]
        entries = [each for each in listed if isinstance(each, dict)]
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise UsageError(f"{folder} is not an OCI layout", hint="it needs an index.json with manifests") from cause
    chosen = [each for each in entries if not name or name in (each.get("digest"), _name_of(each))]
    if len(chosen) != 1:
        what = f"{len(chosen)} images" + (f" called {name!r}" if name else "")
        raise UsageError(f"{folder} has {what}", hint="write PATH:NAME, with the name or the digest of one")
    store = folder / "blobs"
    top = parse_manifest(_verified(store, str(chosen[0].get("digest"))))
    members: tuple[Manifest, ...] = ()
    if isinstance(top, Index):
        found = [parse_manifest(_verified(store, each.digest)) for each in top.manifests]
        members = tuple(each for each in found if isinstance(each, Manifest))
        if len(members) != len(found):
            raise UsageError(f"{folder} holds an index of indexes, which cannot be pushed")
    return Stored(top, members, store)


def _name_of(entry: dict[str, Any]) -> str | None:
    notes = entry.get("annotations")
    return notes.get("org.opencontainers.image.ref.name") if isinstance(notes, dict) else None


def _verified(store: Path, digest: str) -> bytes:
    if not is_digest(digest):
        raise ArchiveError(f"the layout's index names {digest!r}, which is not a digest")
    try:
        raw = (store / digest.replace(":", "/")).read_bytes()
    except OSError as cause:
        raise ArchiveError(f"the blob {digest} is missing") from cause
    if not matches(raw, digest):
        raise IntegrityError(f"the blob {digest} is damaged")
    return raw


def _oci_archive(
    archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str, workspace: Workspace
) -> Stored:
    folder = workspace.root / "archive"
    for path, member in members.items():
        match = _BLOB.match(path)
        if match is None:
            continue
        name_of_blob = Digest(match[1].replace("/", ":"))
        digest = hasher_for(name_of_blob)
        place = folder / "blobs" / match[1]
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as out:
            for chunk in _chunks(archive, member):
                digest.update(chunk)
                out.write(chunk)
        if digest.hexdigest() != hex_of(name_of_blob):
            raise IntegrityError(f"the blob {name_of_blob} of the archive is damaged")
    folder.mkdir(exist_ok=True)
    (folder / "index.json").write_bytes(_small(archive, members, "index.json"))
    return _layout(folder, name)


# -- docker save ------------------------------------------------------------------------------------------------------


def _docker_archive(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], workspace: Workspace) -> Stored:
    try:
        images = read_json(_small(archive, members, "manifest.json"))
        if len(images) != 1:
            raise UsageError(f"the archive holds {len(images)} images", hint="save one image into it")
        config_name, layer_names = str(images[0]["Config"]), [str(each) for each in images[0]["Layers"]]
    except (ValueError, KeyError, TypeError, IndexError) as cause:
        raise ArchiveError("manifest.json of the archive is malformed") from cause
    raw = _small(archive, members, config_name)
    config = parse_config(raw)
    if len(config.diff_ids) != len(layer_names):
        raise IntegrityError(f"the archive has {len(layer_names)} layers, its config {len(config.diff_ids)}")
    layers = tuple(
        _layer(archive, members, name, diff_id, workspace)
        for name, diff_id in zip(layer_names, config.diff_ids, strict=True)
    )
    workspace.blobs.put(digest_of(raw), raw)
    descriptor = Descriptor(DOCKER_CONFIG, digest_of(raw), len(raw))
    return Stored(encode_manifest(DOCKER_MANIFEST, descriptor, layers), (), workspace.blobs.root)


def _layer(
    archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str, diff_id: Digest, workspace: Workspace
) -> Descriptor:
    """A layer's blob: as it is when it is compressed, else compressed now."""
    member = _member(archive, members, name)
    head = next(_chunks(archive, member), b"")
    kind = detect(head)
    if kind in ("gzip", "zstd"):
        with workspace.blobs.create() as (file, part):
            digest, unpacked = hashlib.sha256(), hasher_for(diff_id)

            def stored() -> Iterator[bytes]:
                for chunk in _chunks(archive, member):
                    digest.update(chunk)
                    file.write(chunk)
                    yield chunk

            for chunk in decompressed(stored()):
                unpacked.update(chunk)
            if unpacked.hexdigest() != hex_of(diff_id):
                raise IntegrityError(f"the layer {name} of the archive does not have the diff id {diff_id}")
            found = Digest(f"sha256:{digest.hexdigest()}")
            workspace.blobs.commit(part, found)
        return Descriptor(DOCKER_LAYER_GZIP if kind == "gzip" else DOCKER_LAYER_ZSTD, found, member.size)
    layer = pack_layer(_chunks(archive, member), workspace.blobs, Packing())
    if layer.diff_id != diff_id:
        raise IntegrityError(f"the layer {name} of the archive does not have the diff id {diff_id}")
    return layer.descriptor


def _member(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> tarfile.TarInfo:
    found = members.get(name.removeprefix("./"))
    if found is not None:
        return found
    try:  # docker save writes equal layers once and links to them
        member = archive.getmember(name)
        if member.issym():
            target = str(Path(name).parent / member.linkname).replace("\\", "/")
            parts: list[str] = []
            for part in target.split("/"):
                parts = parts[:-1] if part == ".." else [*parts, part] if part not in ("", ".") else parts
            found = members.get("/".join(parts))
    except KeyError:
        found = None
    if found is None:
        raise ArchiveError(f"the archive has no member {name!r}")
    return found


def _chunks(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = archive.extractfile(member)
    if file is None:
        raise ArchiveError(f"{member.name!r} of the archive is not a file")
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _small(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> bytes:
    member = _member(archive, members, name)
    if member.size > _SMALL:
        raise ArchiveError(f"{name!r} of the archive has {member.size} bytes")
    return b"".join(_chunks(archive, member))
