"""The finished image to where it was wanted: archive, layout, registries, digest files — in that order.

Files that say "this digest was pushed" are written after the pushes, so a failed push leaves none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gazami.builder.files.layer_files import LayerFiles, open_layer
from gazami.builder.outputs.digest_files import digest_files, write_text
from gazami.events import Emit, Exported
from gazami.image.config import History, encode_config
from gazami.image.digest import Digest, digest_of
from gazami.image.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_LAYER_ZSTD,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    encode_manifest,
)
from gazami.image.model import Image, Layer, LocalFile, Remote
from gazami.image.reference import Reference, parse_reference
from gazami.registry.wire import redact
from gazami.values import fast_dataclass, replace

if TYPE_CHECKING:
    from gazami.builder.request import OutputOptions, Pairs
    from gazami.image.platform import Platform
    from gazami.registry.client import RegistryClient
    from gazami.registry.transfer import Uploads

_UNNAMED = "unset-repo/unset-image-name"
_TO_OCI = {DOCKER_LAYER_GZIP: OCI_LAYER_GZIP, DOCKER_LAYER: OCI_LAYER, DOCKER_LAYER_ZSTD: OCI_LAYER_ZSTD}
_OF_THE_BUILDER = ("containerd.io/uncompressed", "containerd.io/distribution.source.", "buildkit/createdat")
_TO_DOCKER = {value: key for key, value in _TO_OCI.items()}


@fast_dataclass(frozen=True, slots=True)
class Finished:
    """An image with its final bytes: the config blob and the manifest that names everything."""

    image: Image
    config: bytes
    manifest: Manifest


def finish(image: Image, annotations: Pairs, now: str) -> Finished:
    """Encode config and manifest; ``now`` is the time of an image without any layer. Pure."""
    history = _timed(image.config.history, now)
    image = replace(image, config=replace(image.config, created=history[-1].created if history else now, history=history))
    oci = image.media_type == OCI_MANIFEST
    relabel = _TO_OCI if oci else _TO_DOCKER
    layers = tuple(
        replace(
            layer.descriptor,
            media_type=relabel.get(layer.descriptor.media_type, layer.descriptor.media_type),
            annotations=_kept(layer.descriptor.annotations) if oci else (),
            platform=None,
        )
        for layer in image.layers
    )
    config = encode_config(image.config)
    descriptor = Descriptor(OCI_CONFIG if oci else DOCKER_CONFIG, digest_of(config), len(config))
    manifest = encode_manifest(OCI_MANIFEST if oci else DOCKER_MANIFEST, descriptor, layers, annotations)
    return Finished(image, config, manifest)


def _kept(annotations: Pairs) -> Pairs:
    """What a base says of its layers and what stays true, such as where a table of contents is (BuildKit keeps the same)."""
    return tuple((name, value) for name, value in annotations if not name.startswith(_OF_THE_BUILDER))


def _timed(history: tuple[History, ...], now: str) -> tuple[History, ...]:
    """Entries without a time get that of the layer before them; the first ones of a build that of its first new layer. So
    a build whose every layer came from the cache makes the same image again (BuildKit does the same)."""
    last = now
    unset = False
    for entry in history:
        if entry.created:
            last = entry.created
            if unset:
                break
        unset = unset or not entry.created
    out: list[History] = []
    unset = False
    for entry in history:
        if entry.created:
            last = entry.created if unset else last
            out.append(entry)
        else:
            unset = True
            out.append(replace(entry, created=last))
    return tuple(out)


@fast_dataclass(slots=True)
class Exporter:
    output: OutputOptions
    registry: RegistryClient
    layers: LayerFiles
    emit: Emit
    platform: Platform

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple(parse_reference(text) for text in self.output.destinations)

    def export(self, finished: Finished, uploads: Uploads) -> None:
        """Write every output that was asked for. Raises what the registry or the disk says."""
        self.archives(finished)
        digest = self._push_all(finished, uploads) if self.output.push else finished.manifest.digest
        for place, text in digest_files(
            self.output.files, self.references, finished.manifest.config.digest, digest, pushed=self.output.push
        ):
            write_text(place, text, self.registry.transport)
            self.emit(Exported("file", redact(place), digest))

    def _push_all(self, finished: Finished, uploads: Uploads) -> Digest:
        """The digest that the destinations get: the image's, or the index's when this build has completed it."""
        index = self.output.index
        if index is None:
            for reference in self.references:
                self.push(finished, reference, uploads)
            return finished.manifest.digest
        from gazami.builder.outputs.platform_index import assemble, members

        for reference in members(index, self.platform, self.references):
            self.push(finished, reference, uploads)
        made = assemble(index, self.references, self.registry, self.emit)
        return made.digest if made else finished.manifest.digest

    def check_permissions(self) -> None:
        """Ask each destination's repository whether it would take a push, unless the request says not to. The upload that this
        opens takes the image's config at the end."""
        for reference in self._checked:
            self.registry.checks.check(reference, keep=True)

    @property
    def _checked(self) -> tuple[Reference, ...]:
        """A destination of each repository that is asked."""
        if not (self.output.push and self.output.check_push):
            return ()
        return tuple({each.context: each for each in self.references}.values())

    def close_uploads(self) -> None:
        """Cancel the uploads that asking opened and nothing went into: the build has failed."""
        if self._checked:
            self.registry.checks.close(self._checked)

    # -- registries -----------------------------------------------------------------------------------------------

    def upload_layers(self, image: Image, uploads: Uploads) -> None:
        """Start the uploads of the layers that there are; what was started already is not started again.

        All go to the first destination of a registry; its other repositories mount them from there afterwards.
        """
        for reference in self.first_of_each_registry():
            self._submit(image, reference, uploads, ())

    def push(self, finished: Finished, reference: Reference, uploads: Uploads) -> None:
        first = next(each for each in self.first_of_each_registry() if each.registry == reference.registry)
        self._submit(finished.image, first, uploads, ())
        if first.context != reference.context:
            uploads.wait()
            self._submit(finished.image, reference, uploads, (first,))
        config = finished.manifest.config
        path = self.layers.workspace.blobs.put(config.digest, finished.config)
        uploads.submit(reference, config, lambda: path.open("rb"), opened=True)
        uploads.wait()
        self.registry.push_manifest(reference, finished.manifest.raw, finished.manifest.media_type)
        self.emit(Exported("image", str(reference), finished.manifest.digest))

    def _submit(self, image: Image, reference: Reference, uploads: Uploads, mount_from: tuple[Reference, ...]) -> None:
        for layer in image.layers:
            digest = layer.descriptor.digest
            stored = self.layers.blobs.local.get(digest) or self.layers.workspace.blobs.path(digest)
            match layer.origin:
                case LocalFile():
                    uploads.submit(reference, layer.descriptor, open_layer(self.layers, layer), mount_from)
                case Remote(source) if stored.exists():
                    uploads.submit(reference, layer.descriptor, open_layer(self.layers, layer), (*mount_from, source))
                case Remote(source) if source.context != reference.context:
                    uploads.submit_copy(source, reference, layer.descriptor, self._chunks(layer, uploads))

    def _chunks(self, layer: Layer, uploads: Uploads) -> Callable[[], Iterator[bytes]]:
        """A layer's bytes for a copy to another registry: those that a stage reads too, where one does."""
        return lambda: self.layers.blob_chunks(layer, uploads.stop)

    def first_of_each_registry(self) -> tuple[Reference, ...]:
        if not self.output.push:
            return ()
        first: dict[str, Reference] = {}
        for reference in self.references:
            first.setdefault(reference.registry, reference)
        return tuple(first.values())

    # -- files ----------------------------------------------------------------------------------------------------

    def archives(self, finished: Finished) -> None:
        digest = finished.manifest.digest
        for place in self.output.tar_paths:
            names = self._names or (f"docker.io/{_UNNAMED}:latest",)
            from gazami.layer.docker_archive import write_docker_archive

            write_docker_archive(Path(place), finished.config, finished.manifest, self._blobs(finished), names)
            self.emit(Exported("docker-archive", place, digest))
        for place in self.output.oci_layout_paths:
            self._layout(finished, Path(place))
            self.emit(Exported("oci-layout", place, digest))
        if self.output.loader:
            self._load(finished)
        for export in self.output.exports:
            from gazami.builder.outputs.file_export import export_files

            export_files(export, finished.image.layers, self.layers, lambda folder: self._layout(finished, folder))
            self.emit(Exported("files" if export.kind != "oci" else "oci-layout", export.dest, digest))

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(_tagged(text) for text in self.output.destinations)

    def _load(self, finished: Finished) -> None:
        from gazami.builder.outputs.load import load
        from gazami.layer.docker_archive import docker_archive

        chunks = docker_archive(finished.config, finished.manifest, self._blobs(finished), self._names)
        load(self.output.loader, chunks, self.layers.cancel)
        name = ", ".join(self._names) or finished.manifest.config.digest
        self.emit(Exported("loaded", f"{name} into {Path(self.output.loader).name}", finished.manifest.digest))

    def _layout(self, finished: Finished, folder: Path) -> None:
        from gazami.layer.oci_layout import OciLayout, blob_file

        layers = tuple(map(blob_file, finished.manifest.layers, self._blobs(finished)))
        OciLayout(folder).write(finished.manifest, finished.config, layers)

    def _blobs(self, finished: Finished) -> tuple[Path, ...]:
        return tuple(self.layers.local_blob(layer) for layer in finished.image.layers)


def _tagged(text: str) -> str:
    return text if ":" in text.rpartition("/")[2] else f"{text}:latest"
