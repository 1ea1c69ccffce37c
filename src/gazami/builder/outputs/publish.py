"""Images that exist already, on their way to registries: an OCI layout, its archive, or an archive of docker save."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from gazami.builder.files.workspace import Workspace
from gazami.builder.inputs.image_archive import ImageArchive
from gazami.errors import ContextError, UsageError
from gazami.events import Emit, Exported
from gazami.image.config import ImageConfig, parse_config
from gazami.image.digest import Digest
from gazami.image.manifest import Index, Manifest
from gazami.image.platform import Platform
from gazami.image.reference import Reference
from gazami.layer.blobs import blob_path
from gazami.layer.oci_layout import OciLayout
from gazami.registry.client import RegistryClient
from gazami.registry.transfer import Uploads
from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class Stored:
    """An image or an index of images whose blobs are files below a folder. ``members`` are an index's manifests."""

    top: Manifest | Index
    members: tuple[Manifest, ...]
    blobs: Path

    def file(self, digest: Digest) -> Path:
        return blob_path(self.blobs, digest)


def load(path: Path, name: str, workspace: Workspace) -> Stored:
    """Read ``path``; ``name`` chooses among several images of a layout. What an archive holds is put into the workspace.

    Raises :class:`UsageError` when there is no such image, :class:`ArchiveError` or :class:`IntegrityError` for damage.
    """
    if path.is_dir():
        return _layout(OciLayout(path), name)
    if not path.is_file():
        raise UsageError(f"{path} does not exist", hint="give an OCI layout directory, or an archive of an image")
    archive = ImageArchive(path)
    if "index.json" in archive.names:
        layout = OciLayout(workspace.root / "archive")
        layout.store(archive.blobs())
        layout.take_index(archive.small("index.json"))
        return _layout(layout, name)
    if "manifest.json" in archive.names:
        return Stored(archive.docker_image(workspace), (), workspace.blobs.root)
    raise UsageError(f"{path} is neither an OCI archive nor an archive of docker save")


def chosen(stored: Stored, platform: Platform, name: str) -> tuple[Manifest, ImageConfig, bytes]:
    """The image for a platform, with its config. Raises :class:`UsageError` where there is none."""
    manifest: Manifest | None
    if isinstance(stored.top, Manifest):
        manifest = stored.top
    else:
        wanted = [each.digest for each in stored.top.manifests if each.platform and platform.accepts(each.platform)]
        manifest = next((each for each in stored.members if each.digest in wanted), None)
    if manifest is None:
        raise UsageError(f"{name} has no image for {platform}", hint="name another one with --platform")
    raw = stored.file(manifest.config.digest).read_bytes()
    return manifest, parse_config(raw), raw


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
                Reference(reference.registry, reference.repository, None, manifest.digest), manifest.raw, manifest.media_type
            )
        client.push_manifest(reference, stored.top.raw, stored.top.media_type)
        emit(Exported("image", str(reference), stored.top.digest))
    return stored.top.digest


def _opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: path.open("rb")


def _layout(layout: OciLayout, name: str) -> Stored:
    try:
        chosen = layout.named(name)
    except ContextError as error:
        raise UsageError(error.message, hint=error.hint) from error
    if len(chosen) != 1:
        what = f"{len(chosen)} images" + (f" called {name!r}" if name else "")
        raise UsageError(f"{layout.folder} has {what}", hint="write PATH:NAME, with the name or digest of one image")
    top = layout.manifest(chosen[0].digest)
    members: tuple[Manifest, ...] = ()
    if isinstance(top, Index):
        found = [layout.manifest(each.digest) for each in top.manifests]
        members = tuple(each for each in found if isinstance(each, Manifest))
        if len(members) != len(found):
            raise UsageError(f"{layout.folder} holds an index of indexes, which cannot be pushed")
    return Stored(top, members, layout.blobs)
