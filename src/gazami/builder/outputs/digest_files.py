"""The small files that say what was built: to a path, or to a URL by PUT, as kaniko writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gazami.errors import HostError, RegistryError
from gazami.layer.output_file import write_output

if TYPE_CHECKING:
    from gazami.builder.request import DigestFiles
    from gazami.image.reference import Reference
    from gazami.registry.transport import Transport


def digest_files(
    files: DigestFiles, references: tuple[Reference, ...], image_id: str, digest: str, *, pushed: bool
) -> Iterator[tuple[str, str]]:
    """``(path or URL, text)`` of each requested file. ``image_id`` is the digest of the config, ``digest`` the manifest's."""
    names = "".join(f"{each.context}@{digest}\n" for each in references)
    tagged = "".join(f"{each.context}:{each.tag}@{digest}\n" for each in references)
    metadata = {
        "containerimage.config.digest": image_id,
        "containerimage.digest": digest,
        "image.name": ",".join(f"{each.context}:{each.tag}" for each in references),
    }
    images = "".join(json.dumps({"name": f"{each.context}:{each.tag}", "digest": digest}) + "\n" for each in references)
    wanted = (
        (files.digest, digest),
        (files.names, names),
        (files.tagged_names, tagged),
        (files.image_id, image_id),
        (files.metadata, json.dumps({key: value for key, value in metadata.items() if value}, indent=2) + "\n"),
        (f"{files.builder_output.rstrip('/')}/images" if files.builder_output and pushed else "", images),
    )
    return (pair for pair in wanted if pair[0])


def write_text(place: str, text: str, transport: Transport) -> None:
    """Raises :class:`HostError` for a path, :class:`RegistryError` for a URL that does not take it."""
    if place.startswith(("http://", "https://")):
        _put(place, text, transport)
        return
    path = Path(place)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_output(path, text.encode(), 0o644, like_the_old=True)
    except OSError as cause:
        raise HostError(f"cannot write {path}: {cause.strerror}") from cause


def _put(url: str, text: str, transport: Transport) -> None:
    from gazami.registry.exchange import Request
    from gazami.registry.routing import Trust
    from gazami.registry.wire import redact

    request = Request("PUT", url, (("Content-Type", "text/plain"),), text.encode())
    with transport.persist(lambda: transport.exchange(request, Trust())) as response:
        if response.status >= 400:
            raise RegistryError(
                f"{redact(url)} did not accept the digest: status {response.status}",
                url=redact(url),
                status=response.status,
                hint="the image is pushed; only this file is missing",
            )
