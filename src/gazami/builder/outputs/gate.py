"""The gate before any push or output: an image leaves only when its parts agree and its layers' bytes are what they are called.

The hashes that were made while a layer was written count as long as every thread that had a part in it ended well, which
:func:`layer.pack.layer_writer` sees to. What this build did not write is read before it goes into an archive or a layout: a file's
bytes may be others than its digest says, and a base's diff id is what its own config says. A registry checks the digest of
everything that is pushed to it.
"""

from __future__ import annotations

import os
from pathlib import Path

from gazami.builder.files.layer_files import LayerFiles
from gazami.builder.files.trees import PARALLEL
from gazami.builder.outputs.export import Finished
from gazami.errors import IntegrityError, NotFoundError
from gazami.image.model import Layer, LocalFile
from gazami.image.validate import check_image, name_of


def check(finished: Finished, files: LayerFiles, *, bytes_leave: bool) -> None:
    """``bytes_leave``: the layers' bytes go to a file, where no registry checks them. Raises :class:`IntegrityError` that names the
    layer, and :class:`NotFoundError` for a blob that is gone."""
    check_image(finished.image, finished.config, finished.manifest)
    unread: dict[str, tuple[Layer, int]] = {}
    for number, layer in enumerate(finished.image.layers, start=1):
        path = files.blobs.at_hand(layer)
        if path is not None:
            _check_size(layer, path, number)
        ours = isinstance(layer.origin, LocalFile) and layer.origin.made_here
        if bytes_leave and not ours and not files.has_checked(layer):
            unread.setdefault(layer.name, (layer, number))
    to_read = list(unread.values())
    for position, (layer, number) in enumerate(to_read):
        files.prefetch(each for each, _ in to_read[position : position + PARALLEL])
        _read(layer, files, number)


def _check_size(layer: Layer, path: Path, number: int) -> None:
    try:
        size = os.stat(path).st_size
    except OSError as cause:
        raise NotFoundError(f"{name_of(layer, number)} is missing from {path}: {cause.strerror}") from cause
    if size != layer.descriptor.size:
        raise IntegrityError(f"{name_of(layer, number)} has {size} bytes in {path} instead of {layer.descriptor.size}")


def _read(layer: Layer, files: LayerFiles, number: int) -> None:
    """Derive the digest and the diff id of a layer from its bytes."""
    try:
        for _ in files.tar_chunks(layer):
            pass
    except IntegrityError as error:
        error.message = f"{name_of(layer, number)}: {error.message}"
        raise
