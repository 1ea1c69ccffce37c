"""What has to agree in an image before it goes anywhere (OCI image spec: config.md, manifest.md). Pure.

An image that is wrong in one of these says nothing by itself: registries take it, and runtimes refuse it or, worse, run it.
"""

from __future__ import annotations

import hashlib

from gazami.errors import IntegrityError
from gazami.image.config import ImageConfig, parse_config
from gazami.image.digest import Digest, digest_of
from gazami.image.manifest import Manifest, parse_manifest
from gazami.image.model import Image, Layer

_HINT = "report this with the output of --verbosity=debug; nothing was pushed or written"
_NOTHING = Digest("sha256:" + hashlib.sha256().hexdigest())


def check_image(image: Image, config: bytes, manifest: Manifest) -> None:
    """Compare the layers, the config's bytes and the manifest's bytes with each other. Raises :class:`IntegrityError`."""
    if image.config.diff_ids != tuple(layer.diff_id for layer in image.layers):
        raise _wrong(f"the config names {len(image.config.diff_ids)} diff ids that are not those of {_count(image)}")
    for number, layer in enumerate(image.layers, start=1):
        check_layer(layer, number)
    _check_history(image)
    _check_config(image.config, config, manifest)
    _check_manifest(image, manifest)


def check_layer(layer: Layer, number: int) -> None:
    """A layer that has no bytes is none: the smallest tar has 1024, and the smallest gzip stream 20."""
    if layer.descriptor.size <= 0 or layer.descriptor.digest == _NOTHING:
        raise _wrong(f"{name_of(layer, number)} is empty")


def name_of(layer: Layer, number: int) -> str:
    """A layer in an error; ``number`` counts from 1, from the base up."""
    return f"layer {number} ({layer.descriptor.digest}, diff id {layer.diff_id})"


def _check_history(image: Image) -> None:
    entries = sum(not entry.empty_layer for entry in image.config.history)
    if entries != len(image.layers):
        raise _wrong(f"the history has {entries} entries with a layer, the image has {_count(image)}")


def _check_config(wanted: ImageConfig, config: bytes, manifest: Manifest) -> None:
    if (manifest.config.digest, manifest.config.size) != (digest_of(config), len(config)):
        raise _wrong(f"the manifest names the config {manifest.config.digest}, which is {digest_of(config)}")
    read = parse_config(config)
    if read.diff_ids != wanted.diff_ids:
        raise _wrong("the config does not have the diff ids of the layers in their order")
    if [each.empty_layer for each in read.history] != [each.empty_layer for each in wanted.history]:
        raise _wrong("the config does not have the history of the image")


def _check_manifest(image: Image, manifest: Manifest) -> None:
    read = parse_manifest(manifest.raw)
    if not isinstance(read, Manifest) or digest_of(manifest.raw) != manifest.digest:
        raise _wrong(f"the manifest {manifest.digest} does not match its digest")
    if read.config.digest != manifest.config.digest or len(read.layers) != len(image.layers):
        raise _wrong(f"the manifest names {len(read.layers)} layers, the image has {_count(image)}")
    for number, (named, layer) in enumerate(zip(read.layers, image.layers, strict=True), start=1):
        if (named.digest, named.size) != (layer.descriptor.digest, layer.descriptor.size):
            raise _wrong(f"the manifest names {named.digest} of {named.size} bytes for {name_of(layer, number)}")


def _count(image: Image) -> str:
    return f"{len(image.layers)} layer" + ("" if len(image.layers) == 1 else "s")


def _wrong(what: str) -> IntegrityError:
    return IntegrityError(f"the image is not consistent: {what}", hint=_HINT)
