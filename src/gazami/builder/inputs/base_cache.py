"""Base images in a directory (``--cache-dir``), an OCI layout each, named by the digest of its manifest, as kaniko's warmer
fills it, and beside them the trees of their files."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

from gazami.builder.inputs.layout_images import resolve_layout
from gazami.cancel import Cancel
from gazami.errors import GazamiError, HostError
from gazami.file_locks import locked
from gazami.image.digest import Digest
from gazami.image.platform import Platform
from gazami.image.reference import Reference
from gazami.layer.blobs import open_file
from gazami.layer.oci_layout import OciLayout
from gazami.layer.output_file import OutputFolder
from gazami.plan.steps import ImageBase
from gazami.registry.client import RegistryClient
from gazami.registry.resolved import Resolved
from gazami.rootfs.kept_tree import MAX_TREE
from gazami.values import fast_dataclass, replace

_TREES = ".trees"


@fast_dataclass(frozen=True, slots=True)
class BaseCache:
    """``ttl`` is in seconds; images warmed longer ago are not used. 0 is no limit."""

    folder: Path
    ttl: float = 0.0

    def image(self, reference: Reference, platform: Platform) -> Resolved | None:
        """The image that a digest reference names, without any request, if it is here."""
        if reference.digest is None or not self._has(reference.digest):
            return None
        try:
            found = resolve_layout(ImageBase(f"oci-layout://{self._place(reference.digest)}@{reference.digest}", platform))
        except GazamiError:
            return None
        return replace(found, reference=reference) if found.digest == reference.digest else None

    def blobs(self, image: Resolved) -> dict[Digest, Path]:
        """The files of an image's layers, all of them or none."""
        if not self._has(image.digest):
            return {}
        layout = OciLayout(self._place(image.digest))
        found = {layer.digest: layout.path(layer.digest) for layer in image.manifest.layers}
        return found if all(path.exists() for path in found.values()) else {}

    def read_tree(self, tag: str) -> bytes | None:
        """The tree of an image, as stored; not verified."""
        path = self.folder / _TREES / tag
        with contextlib.suppress(OSError), open_file(path) as file:
            if os.fstat(file.fileno()).st_size <= MAX_TREE:
                return file.readall()
        return None

    def write_tree(self, tag: str, data: bytes) -> None:
        """Raises :class:`HostError`."""
        folder = self.folder / _TREES
        try:
            folder.mkdir(exist_ok=True, mode=0o755)
            with OutputFolder(folder, follow=False) as trees, trees.file(tag) as file:
                file.write(data)
                os.fchmod(file.fileno(), 0o644)
        except OSError as cause:
            raise HostError(f"cannot write a tree into the cache directory {self.folder}: {cause.strerror}") from cause

    def _has(self, digest: Digest) -> bool:
        try:
            age = time.time() - OciLayout(self._place(digest)).written
        except OSError:
            return False
        return self.ttl <= 0 or age < self.ttl

    def _place(self, digest: Digest) -> Path:
        return self.folder / digest

    def store(self, image: Resolved, client: RegistryClient, cancel: Cancel, *, force: bool = False) -> bool:
        """Fetch an image's layers into the directory; False when it is there already. Warmers at the same time wait for
        each other. Raises :class:`HostError` and what the registry says; nothing half-fetched stays."""
        place = self._place(image.digest)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
            locks = self.folder / ".warmer-locks"
            locks.mkdir(exist_ok=True)
            with locked((str(locks / f"{image.digest}.lock"),), cancel):
                if self._has(image.digest) and not force:
                    return False
                part = Path(tempfile.mkdtemp(prefix=".warming-", dir=self.folder))
                try:
                    self._fetch(image, part, client, cancel)
                    part.chmod(0o755)
                    if place.exists():
                        shutil.rmtree(place)
                    part.rename(place)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
        except OSError as cause:
            raise HostError(f"cannot use the cache directory {self.folder}: {cause.strerror}") from cause
        return True

    def _fetch(self, image: Resolved, folder: Path, client: RegistryClient, cancel: Cancel) -> None:
        layers = tuple(
            (layer, partial(client.open_blob, image.reference, layer)) for layer in image.manifest.layers if not layer.urls
        )
        layout = OciLayout(folder, is_shared=True, cancel=cancel)
        layout.write(image.manifest, image.config_raw, layers, str(image.reference))
