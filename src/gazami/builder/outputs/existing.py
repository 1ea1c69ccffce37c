"""Destinations that exist already (``--if-exists``): asked before anything else is done, so that it costs no build."""

from __future__ import annotations

import time

from gazami.builder.outputs.digest_files import digest_files, write_text
from gazami.builder.request import OutputOptions
from gazami.errors import TagExists
from gazami.events import BuildFinished, Emit, Exported, Message
from gazami.image.digest import Digest
from gazami.image.manifest import Manifest
from gazami.image.reference import Reference, parse_reference
from gazami.registry.client import RegistryClient
from gazami.registry.wire import redact


def skipped(output: OutputOptions, registry: RegistryClient, emit: Emit) -> Digest | None:
    """The digest of the image that is there already, where nothing is left to do: all destinations name it, and the files of
    digests are written. Raises :class:`TagExists` where one exists that must not, and what a registry says."""
    started = time.monotonic()
    references = tuple(parse_reference(text) for text in output.destinations)
    client = registry.for_cache()  # no mirror answers for the registry that is pushed to
    found = {reference: client.head_manifest(reference) for reference in references}
    there = {reference: descriptor.digest for reference, descriptor in found.items() if descriptor is not None}
    if not there:
        return None
    first, digest = next(iter(there.items()))
    if output.existing == "fail":
        raise TagExists(
            f"{first} exists already ({digest}), nothing was built",
            hint="choose another tag, or --if-exists=skip to be content with the image that is there",
        )
    if len(there) < len(references) or len(set(there.values())) > 1:
        missing = next((str(each) for each in references if each not in there), "")
        why = f"{missing} does not" if missing else "the destinations are different images"
        emit(Message("info", f"{first} exists already, but {why}: building"))
        return None
    image_id = _image_id(first, client)
    emit(Message("info", f"{', '.join(map(str, references))}: exists already, nothing to build ({digest})"))
    for place, text in digest_files(output.files, references, image_id, digest, pushed=True):
        write_text(place, text, registry.transport)
        emit(Exported("file", redact(place), digest))
    emit(BuildFinished(time.monotonic() - started, digest, 0, 0, output.destinations, image_id))
    return digest


def _image_id(reference: Reference, client: RegistryClient) -> str:
    """The digest of the config; an index has none, and is named by its own."""
    manifest = client.get_manifest(reference)
    return manifest.config.digest if isinstance(manifest, Manifest) else manifest.digest
