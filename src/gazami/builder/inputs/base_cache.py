"""Base images in a directory (``--cache-dir``), an OCI layout each, named by the digest of its manifest, as kaniko's warmer
fills it."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path

from gazami.builder.inputs.layout_images import resolve_layout
from gazami.cancel import Cancel
from gazami.errors import GazamiError, HostError
from gazami.file_locks import locked
from gazami.foreign import read_json
from gazami.image.digest import Digest, hex_of
from gazami.image.platform import Platform
from gazami.image.reference import Reference
from gazami.layer.blobs import BlobStore
from gazami.layer.oci_layout import write_oci_layout
from gazami.plan.steps import ImageBase
from gazami.registry.client import RegistryClient
from gazami.registry.resolved import Resolved
from gazami.values import dataclass, replace


@dataclass(frozen=True, slots=True)
class BaseCache:
    """``ttl`` is in seconds; images warmed longer ago are not used. 0 is no limit."""

    folder: Path
    ttl: float = 0.0

    def image(self, reference: Reference, platform: Platform) -> Resolved | None:
        """The image that a digest reference names, without any request, if it is here."""
        if reference.digest is None or not self._has(reference.digest):
            return None
        try:
            found = resolve_layout(
                ImageBase(f"oci-layout://{self._place(reference.digest)}@{reference.digest}", platform)
            )
        except GazamiError:
            return None
        return replace(found, reference=reference) if found.digest == reference.digest else None

    def blobs(self, image: Resolved) -> dict[Digest, Path]:
        """The files of an image's layers, all of them or none."""
        if not self._has(image.digest):
            return {}
        folder = self._place(image.digest) / "blobs/sha256"
        found = {layer.digest: folder / hex_of(layer.digest) for layer in image.manifest.layers}
        return found if all(path.exists() for path in found.values()) else {}

    def _has(self, digest: Digest) -> bool:
        try:
            age = time.time() - (self._place(digest) / "index.json").stat().st_mtime
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
            raise HostError(f"the cache directory {self.folder} cannot be used: {cause.strerror}") from cause
        return True

    def _fetch(self, image: Resolved, folder: Path, client: RegistryClient, cancel: Cancel) -> None:
        store = BlobStore(folder / "blobs")
        for layer in image.manifest.layers:
            if layer.urls or store.has(layer.digest):
                continue
            with store.create() as (file, part):
                for chunk in cancel.checked(client.open_blob(image.reference, layer)):
                    file.write(chunk)
                store.commit(part, layer.digest)
        blobs = tuple(store.path(layer.digest) for layer in image.manifest.layers)
        write_oci_layout(folder, image.config_raw, image.manifest, blobs)
        index = read_json((folder / "index.json").read_bytes())
        index["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": str(image.reference)}
        (folder / "index.json").write_text(json.dumps(index, indent=2))
