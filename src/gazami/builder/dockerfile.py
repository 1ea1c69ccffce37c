"""Where the Dockerfile and the ignore file of a build are (kaniko's look-up order, Docker's choice of ignore file), and what
the Dockerfile is compiled with."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from gazami.builder.request import BuildRequest
from gazami.context.download import file_name, stream
from gazami.context.ignore import Ignore, parse_ignore
from gazami.errors import ContextError, Source, UsageError
from gazami.plan.outline import Inputs, context_name
from gazami.registry.transport import Transport
from gazami.registry.wire import redact

MAX_DOCKERFILE = 16 << 20
"""Bytes; a larger Dockerfile is refused."""


def find_dockerfile(
    wanted: str, folder: Path, transport: Transport | None = None, *, given: bool = True, fetched: bool = False
) -> tuple[Source, Path | None]:
    """The text and, when it is a file, the path. One that was asked for is looked for in the working directory first, then in
    the context, as kaniko does; without any wish it is the context's own. A ``fetched`` context has no say over other files."""
    if wanted == "-":
        return Source("Dockerfile", _decode(sys.stdin.buffer.read(MAX_DOCKERFILE + 1), "standard input")), None
    if wanted.startswith(("http://", "https://")):
        return Source(file_name(wanted), _decode(_downloaded(wanted, transport), redact(wanted))), None
    places = (Path(wanted), folder / wanted)
    for path in places if given else reversed(places):
        if path.is_file():
            if fetched and path.is_relative_to(folder):
                _check_inside(path, folder)
            return Source(path.name, _decode(_read(path), str(path))), path
    if wanted == "Dockerfile" and (folder / "dockerfile").is_file():
        return find_dockerfile("dockerfile", folder, fetched=fetched)
    raise ContextError(
        f"no Dockerfile found: there is neither {wanted} nor {folder / wanted}",
        hint="give its path, relative to the context, with --dockerfile (-f)",
    )


def _downloaded(url: str, transport: Transport | None) -> bytes:
    if transport is None:
        raise UsageError("a Dockerfile is not read from a URL here", hint="give it on standard input: -f -")
    data = bytearray()
    for chunk in stream(url, transport):
        data += chunk
        if len(data) > MAX_DOCKERFILE:
            break
    return bytes(data)


def _check_inside(path: Path, folder: Path) -> None:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ContextError(f"{path.name} of the context is a symlink that leads out of it")


def find_ignore(dockerfile: Path | None, context: Path, *, fetched: bool = False) -> Ignore:
    """``<Dockerfile>.dockerignore`` beside the Dockerfile wins over the context's own."""
    beside = dockerfile.with_name(dockerfile.name + ".dockerignore") if dockerfile is not None else None
    for path in (beside, context / ".dockerignore"):
        if path is not None and path.is_file():
            if fetched and path.is_relative_to(context):
                _check_inside(path, context)
            return parse_ignore(_decode(_read(path), str(path)), path.name)
    return Ignore()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_DOCKERFILE + 1)
    except OSError as cause:
        raise ContextError(f"{path} cannot be read: {cause.strerror}") from cause


def _decode(data: bytes, place: str) -> str:
    if len(data) > MAX_DOCKERFILE:
        raise ContextError(f"{place} is larger than {MAX_DOCKERFILE} bytes")
    return data.decode("utf-8", "surrogateescape")


def source_date_epoch(build_args: Mapping[str, str]) -> datetime | None:
    """The time that the image's config and new history get (reproducible-builds.org, SOURCE_DATE_EPOCH), None for now."""
    text = build_args.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"invalid SOURCE_DATE_EPOCH: {text}", hint="it is a number of seconds since 1970") from None


def inputs_of(request: BuildRequest) -> Inputs:
    """What the Dockerfile is compiled with."""
    return Inputs(
        dict(request.plan.build_args),
        request.plan.host,
        request.plan.platform,
        request.plan.targets[0] if request.plan.targets else "",
        request.plan.labels,
        {context_name(name): value for name, value in request.context.named},
    )
