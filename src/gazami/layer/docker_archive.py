"""An image as ``docker save`` writes it: layers, config and ``manifest.json`` in one tar, for ``docker load``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gazami.errors import HostError
from gazami.image.digest import hex_of
from gazami.image.encoding import encode_json
from gazami.image.manifest import DOCKER_MANIFEST, Manifest
from gazami.layer.entry import BytesContent, Entry, FileContent, Kind
from gazami.layer.output_file import output_file
from gazami.layer.tar_writer import write_members

MANIFEST = "gazami-manifest.json"
"""The manifest that the image has in a registry, where that is not the one that its layers and its config give; so that pushing the
archive later gives the digest of the build. ``docker load`` and others pass over it."""


def write_docker_archive(path: Path, config: bytes, manifest: Manifest, blobs: tuple[Path, ...], names: tuple[str, ...]) -> None:
    """Write the archive; it appears whole. ``names`` are its ``RepoTags``. Raises :class:`HostError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with output_file(path) as file:
            for chunk in docker_archive(config, manifest, blobs, names):
                file.write(chunk)
    except OSError as cause:
        raise HostError(f"cannot write the archive {path}: {cause.strerror}") from cause


def docker_archive(config: bytes, manifest: Manifest, blobs: tuple[Path, ...], names: tuple[str, ...]) -> Iterator[bytes]:
    """The bytes of the archive. Raises OSError where a blob cannot be read."""
    return write_members(_members(config, manifest, blobs, names))


def _members(
    config: bytes, manifest: Manifest, blobs: tuple[Path, ...], names: tuple[str, ...]
) -> Iterator[tuple[Entry, FileContent | BytesContent]]:
    yield _file(manifest.config.digest, len(config)), BytesContent(config)
    files: list[str] = []
    for descriptor, blob in zip(manifest.layers, blobs, strict=True):
        name = f"{hex_of(descriptor.digest)}.tar.gz"
        if name not in files:
            yield _file(name, descriptor.size), FileContent(str(blob))
        files.append(name)
    index = encode_json([{"Config": manifest.config.digest, "RepoTags": list(names), "Layers": files}])
    yield _file("manifest.json", len(index)), BytesContent(index)
    if manifest.media_type != DOCKER_MANIFEST or manifest.annotations:
        yield _file(MANIFEST, len(manifest.raw)), BytesContent(manifest.raw)


def _file(name: str, size: int) -> Entry:
    return Entry(name, Kind.FILE, 0o644, size=size)
