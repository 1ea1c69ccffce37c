"""Where the Dockerfile and the ignore file of a build are (kaniko's look-up order, Docker's choice of ignore file), and what
the Dockerfile is compiled with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gazami.context.confined import lies_in, read_inside
from gazami.context.ignore import Ignore, parse_ignore
from gazami.errors import ContextError, Source, UsageError
from gazami.foreign import printable
from gazami.plan.inputs import PlanInputs, context_name
from gazami.registry.wire import redact

if TYPE_CHECKING:
    from gazami.builder.request import Pairs, PlanOptions
    from gazami.registry.transport import Transport

MAX_DOCKERFILE = 16 << 20
"""Bytes; a larger Dockerfile is refused."""


def find_dockerfile(
    wanted: str, folder: Path, transport: Transport | None = None, *, given: bool = True
) -> tuple[Source, Path | None]:
    """The text and, when it is a file, the path. One that was asked for is looked for in the working directory first, then in
    the context, as kaniko does; without one it is the context's own. See :func:`read_named` for symlinks."""
    if wanted == "-":
        return Source("Dockerfile", _decode(sys.stdin.buffer.read(MAX_DOCKERFILE + 1), "standard input")), None
    if wanted.startswith(("http://", "https://")):
        from gazami.context.download import file_name

        return Source(file_name(wanted), _decode(_downloaded(wanted, transport), redact(wanted))), None
    places = (Path(wanted), folder / wanted)
    for path in places if given else reversed(places):
        if not path.is_dir() and (data := read_named(path, folder)) is not None:
            return Source(path.name, _decode(data, str(path))), path
    for name in ("dockerfile", "Containerfile") if wanted == "Dockerfile" else ():
        if not (folder / name).is_dir() and (data := read_named(folder / name, folder)) is not None:
            return Source(name, _decode(data, name)), folder / name
    raise _missing(wanted, folder, given=given)


def _missing(wanted: str, folder: Path, *, given: bool) -> ContextError:
    """The error for a Dockerfile that is not there, with one that is there under another name."""
    here = "" if not given or Path.cwd() == folder.absolute() else "the working directory and in "
    message = f"no Dockerfile at {wanted} (looked in {here}{folder})" if given else f"no Dockerfile in {folder}"
    try:
        others = sorted(each.name for each in folder.iterdir() if "ockerfile" in each.name and not each.name.endswith("ignore"))
    except OSError:
        others = []
    if others:
        return ContextError(message, hint=f"there is {printable(others[0])}: name it with --file (-f)")
    return ContextError(message, hint="name it, relative to the context, with --file (-f)")


def read_named(path: Path, context: Path) -> bytes | None:
    """The Dockerfile or an ignore file at a path, None where there is none. Raises :class:`ContextError`.

    A context is not trusted to say what other files of this machine are read, whose lines an error would show: a file of the
    context is found by following symlinks in it alone, as BuildKit does. So is one of the working directory, which may be a
    checkout too. A file that the user names elsewhere, by an absolute path, is the user's own.
    """
    here = Path()
    for folder in (context, here):
        if lies_in(str(folder), str(path)):
            return read_inside(str(folder), str(path), MAX_DOCKERFILE + 1)
    if not path.is_absolute():
        return read_inside(str(path.parent), str(path), MAX_DOCKERFILE + 1)
    return read_inside("/", str(path), MAX_DOCKERFILE + 1)


def _downloaded(url: str, transport: Transport | None) -> bytes:
    if transport is None:
        raise UsageError("this command reads no Dockerfile from a URL", hint="give it on standard input: -f -")
    data = bytearray()
    from gazami.context.download import stream

    for chunk in stream(url, transport):
        data += chunk
        if len(data) > MAX_DOCKERFILE:
            break
    return bytes(data)


def find_ignore(dockerfile: Path | None, context: Path) -> Ignore:
    """``<Dockerfile>.dockerignore`` beside the Dockerfile wins over the context's own. With a Containerfile ``.containerignore``
    counts too, as podman has it."""
    podmans = dockerfile is not None and dockerfile.name == "Containerfile"
    names = (context / ".dockerignore", context / ".containerignore" if podmans else None)
    for path in (ignore_beside(dockerfile) if dockerfile else None, *names):
        if path is not None and not path.is_dir() and (data := read_named(path, context)) is not None:
            return parse_ignore(_decode(data, str(path)), path.name)
    return Ignore()


def ignore_beside(dockerfile: Path) -> Path:
    return dockerfile.with_name(dockerfile.name + ".dockerignore")


def _decode(data: bytes, place: str) -> str:
    if len(data) > MAX_DOCKERFILE:
        raise ContextError(f"{place} is larger than {MAX_DOCKERFILE} bytes")
    return data.decode("utf-8", "surrogateescape")


def inputs_of(plan: PlanOptions, named: Pairs) -> PlanInputs:
    """What the Dockerfile is compiled with; ``named`` are the named contexts as they were given."""
    return PlanInputs(
        dict(plan.build_args),
        plan.host,
        plan.platform,
        plan.targets[0] if plan.targets else "",
        plan.labels,
        {context_name(name): value for name, value in named},
    )
