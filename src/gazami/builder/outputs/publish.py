"""Images that exist already, on their way to registries: an OCI layout, its archive, or an archive of docker save."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from gazami.builder.files.workspace import Workspace
from gazami.builder.inputs.image_archive import ImageArchive
from gazami.errors import ArchiveError, IntegrityError, UsageError
from gazami.events import Emit, Exported
from gazami.foreign import read_json
from gazami.image.digest import Digest, hex_of, is_digest, matches
from gazami.image.manifest import Index, Manifest, parse_manifest
from gazami.image.reference import Reference
from gazami.registry.client import RegistryClient
from gazami.registry.transfer import Uploads
from gazami.values import dataclass


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
    archive = ImageArchive(path)
    if "index.json" in archive.names:
        folder = workspace.root / "archive"
        archive.write_layout(folder)
        return _layout(folder, name)
    if "manifest.json" in archive.names:
        return Stored(archive.docker_image(workspace), (), workspace.blobs.root)
    raise UsageError(f"{path} is neither an OCI archive nor one of docker save")


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
