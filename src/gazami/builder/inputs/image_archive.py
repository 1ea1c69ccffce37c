"""Images in tar archives: OCI layouts, and what ``docker save`` writes. Their blobs become files of the workspace.

An archive comes from elsewhere, so it is read by our own reader with its bounds, from front to back, once for its list and once for
each set of members that is needed. Nothing is unpacked by name.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from gazami.builder.files.workspace import Workspace
from gazami.errors import ArchiveError, IntegrityError, RegistryError, UsageError
from gazami.foreign import read_json
from gazami.image.config import ImageConfig, parse_config
from gazami.image.digest import Digest, digest_of, verified
from gazami.image.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_LAYER_ZSTD,
    DOCKER_MANIFEST,
    Descriptor,
    Manifest,
    encode_manifest,
    parse_manifest,
)
from gazami.layer.compression import decompressed, detect
from gazami.layer.docker_archive import MANIFEST
from gazami.layer.entry import Entry, Kind
from gazami.layer.oci_layout import NewBlob
from gazami.layer.pack import Packing, pack_layer
from gazami.layer.tar_reader import TarReader

_CHUNK = 1 << 20
_BLOB = re.compile(r"blobs/(sha256/[0-9a-f]{64}|sha512/[0-9a-f]{128})\Z")
_SMALL = 8 << 20
_LINKS = (Kind.SYMLINK, Kind.HARDLINK)


class ImageArchive:
    """``names`` are its members, the last of a name winning. Raises :class:`ArchiveError` for what is no tar archive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.names = {entry.path: entry for entry, _ in self._members()}
        except ArchiveError as error:
            raise ArchiveError(f"{path} is not a tar archive, or is damaged ({error.message})") from error

    def _members(self) -> Iterator[tuple[Entry, TarReader]]:
        with self._path.open("rb", buffering=0) as file:
            reader = TarReader(decompressed(iter(lambda: file.read(_CHUNK), b"")))
            for entry in reader:
                yield entry, reader

    def small(self, name: str) -> bytes:
        """The bytes of a document."""
        wanted = self.file(name)
        if wanted.size > _SMALL:
            raise ArchiveError(f"{name!r} of the archive has {wanted.size} bytes")
        found = b""
        for entry, reader in self._members():
            if entry.path == wanted.path and entry.kind is Kind.FILE:
                found = b"".join(reader.content())
        return found

    def file(self, name: str) -> Entry:
        """The file of a name; docker save writes equal layers once and links to them."""
        wanted = posixpath.normpath("/" + name).lstrip("/")
        found = self.names.get(wanted)
        if found is not None and found.kind in _LINKS:
            base = "" if found.kind is Kind.HARDLINK else posixpath.dirname(wanted)
            found = self.names.get(posixpath.normpath(f"/{base}/{found.link}").lstrip("/"))
        if found is None or found.kind is not Kind.FILE:
            raise ArchiveError(f"the archive has no member {name!r}")
        return found

    # -- OCI ----------------------------------------------------------------------------------------------------------

    def blobs(self) -> Iterator[NewBlob]:
        """The blobs of a layout, verified as they are read: each before the next one."""
        for entry, reader in self._members():
            match = _BLOB.match(entry.path)
            if match is not None and entry.kind is Kind.FILE:
                digest = Digest(match[1].replace("/", ":"))
                yield (Descriptor("", digest, entry.size), partial(verified, reader.content(), digest, None, _damaged(digest)))

    # -- docker save --------------------------------------------------------------------------------------------------

    def docker_image(self, workspace: Workspace) -> Manifest:
        """A manifest of the one image that the archive holds; its blobs are in the workspace's store."""
        raw, config, layers = self._listed()
        wanted: dict[str, Digest] = {}
        files = [self.file(name).path for name in layers]
        for path, diff_id in zip(files, config.diff_ids, strict=True):
            if wanted.setdefault(path, diff_id) != diff_id:
                raise _wrong_layer(path, diff_id)
        found: dict[str, Descriptor] = {}
        for entry, reader in self._members():
            if entry.path in wanted and entry.kind is Kind.FILE:
                found[entry.path] = _layer(entry, wanted[entry.path], reader.content(), workspace)
        workspace.blobs.put(digest_of(raw), raw)
        descriptor = Descriptor(DOCKER_CONFIG, digest_of(raw), len(raw))
        made = encode_manifest(DOCKER_MANIFEST, descriptor, tuple(found[path] for path in files))
        return self._said_manifest(made) or made

    def _said_manifest(self, made: Manifest) -> Manifest | None:
        """The manifest that gazami put beside the layers, as long as it names the very same blobs."""
        if MANIFEST not in self.names:
            return None
        try:
            said = parse_manifest(self.small(MANIFEST))
        except RegistryError:
            return None
        return said if isinstance(said, Manifest) and _blobs(said) == _blobs(made) else None

    def _listed(self) -> tuple[bytes, ImageConfig, list[str]]:
        try:
            images = read_json(self.small("manifest.json"))
            if len(images) != 1:
                raise UsageError(f"the archive holds {len(images)} images", hint="save one image into the archive")
            config_name, layers = str(images[0]["Config"]), [str(each) for each in images[0]["Layers"]]
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as cause:
            raise ArchiveError("manifest.json of the archive is malformed") from cause
        raw = self.small(config_name)
        config = parse_config(raw)
        if len(config.diff_ids) != len(layers):
            raise IntegrityError(f"the archive has {len(layers)} layers, its config {len(config.diff_ids)}")
        return raw, config, layers


def _blobs(manifest: Manifest) -> list[tuple[Digest, int]]:
    return [(each.digest, each.size) for each in (manifest.config, *manifest.layers)]


def _layer(entry: Entry, diff_id: Digest, chunks: Iterator[bytes], workspace: Workspace) -> Descriptor:
    """A layer's blob: as it is when it is compressed, else compressed now. Its bytes have the diff id of the config."""
    head = next(chunks, b"")
    kind = detect(head)
    content = _joined(head, chunks)
    if kind not in ("gzip", "zstd"):
        layer = pack_layer(content, workspace.blobs, Packing())
        if layer.diff_id != diff_id:
            raise _wrong_layer(entry.path, diff_id)
        return layer.descriptor
    with workspace.blobs.create() as (file, part):
        digest = hashlib.sha256()

        def keep(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        tar = decompressed(_seen(content, keep))
        for _ in verified(tar, diff_id, None, lambda _: _wrong_layer(entry.path, diff_id)):
            pass
        found = Digest(f"sha256:{digest.hexdigest()}")
        workspace.blobs.commit(part, found)
    return Descriptor(DOCKER_LAYER_GZIP if kind == "gzip" else DOCKER_LAYER_ZSTD, found, entry.size)


def _joined(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _seen(chunks: Iterator[bytes], keep: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        keep(chunk)
        yield chunk


def _damaged(digest: Digest) -> Callable[[str], IntegrityError]:
    return lambda found: IntegrityError(f"the blob {digest} of the archive is damaged: it has {found}")


def _wrong_layer(name: str, diff_id: Digest) -> IntegrityError:
    return IntegrityError(f"the layer {name} of the archive does not have the diff id {diff_id}")
