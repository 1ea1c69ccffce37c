"""The main build context as a folder: a folder that there is, or one below the workspace that an archive is unpacked into.

An archive is trusted as little as a layer: names cannot leave the folder, devices are not made, owners do not matter.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gazami.builder.files.layer_files import observed, phase
from gazami.builder.inputs.dockerfile import MAX_DOCKERFILE
from gazami.context.local import below, local_folder
from gazami.errors import ArchiveError, ContextError, SpaceError
from gazami.events import Emit, Message
from gazami.layer.entry import Entry, Kind
from gazami.layer.whiteout import is_whiteout
from gazami.values import replace

if TYPE_CHECKING:
    from gazami.builder.files.workspace import Workspace
    from gazami.builder.request import ContextOptions
    from gazami.cancel import Cancel
    from gazami.context.schemes import Access, Archive
    from gazami.registry.client import RegistryClient
    from gazami.registry.options import RegistryOptions

_TRUE = frozenset({"1", "t", "true"})
_TELLING = 512
"""Bytes of a tar's first header."""

_LEFT_OUT = (Kind.CHARACTER, Kind.BLOCK, Kind.FIFO)


def fetch_context(options: ContextOptions, access: Callable[[], Access], workspace: Workspace, emit: Emit, cancel: Cancel) -> Path:
    """The context, ``--context-sub-path`` included. Raises :class:`GazamiError` kinds of its scheme."""
    if "://" not in options.context and Path(options.context).is_dir():  # without what fetching needs
        return local_folder(options.context, options.sub_path)
    from gazami.context.schemes import Archive, open_context

    with phase(emit, "context", "fetching the context") as progress:
        opened = open_context(options.context, access())
        if isinstance(opened, Archive):
            place = workspace.root / "context"
            if options.context == "-":
                start, opened = _begun(opened)
                if is_text(start):
                    return _of_a_dockerfile(opened, place)
            opened = _unpacked(opened, place, emit, progress=progress, cancel=cancel)
    return below(opened, options.sub_path)


def access_of(
    options: ContextOptions, registry: RegistryOptions, build_args: Mapping[str, str], root: Path, client: RegistryClient,
    cancel: Cancel,
) -> Access:  # fmt: skip
    """How to fetch contexts into the folder ``root``."""
    from gazami.context.schemes import Access

    return Access(
        client.transport, client, cancel, root, dict(options.environment), options.git, registry.proxies,
        registry.trust.certificate_directories, build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "").lower() in _TRUE,
    )  # fmt: skip


def _begun(archive: Archive) -> tuple[bytes, Archive]:
    """The first bytes of standard input, as many as tell a Dockerfile from a tar, and all of it."""
    chunks, start = iter(archive.chunks), b""
    while len(start) < _TELLING and (chunk := next(chunks, b"")):
        start += chunk
    return start, replace(archive, chunks=itertools.chain([start] if start else [], chunks))


def is_text(start: bytes) -> bool:
    """Whether data that begin so are a text: every archive has a byte in its first ones that no text has."""
    try:
        start[:_TELLING].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < min(len(start), _TELLING) - 3:  # else a character that is cut off
            return False
    return bool(start) and b"\0" not in start[:_TELLING]


def _of_a_dockerfile(rest: Archive, folder: Path) -> Path:
    """``docker build - < Dockerfile``: a context without files, whose Dockerfile is the standard input."""
    data = b""
    for chunk in rest.chunks:
        data += chunk
        if len(data) > MAX_DOCKERFILE:
            break
    folder.mkdir(mode=0o700)
    (folder / "Dockerfile").write_bytes(data)
    (folder / "Dockerfile.dockerignore").write_text("*\n")
    return folder


def _unpacked(archive: Archive, folder: Path, emit: Emit, *, progress: object, cancel: Cancel) -> Path:
    folder.mkdir(mode=0o700)
    from gazami.ahead import Ahead
    from gazami.layer.compression import decompressed
    from gazami.layer.tar_reader import TarReader
    from gazami.rootfs.requests import UnpackRequest
    from gazami.rootfs.unpack import Unpacker

    unpacker = Unpacker(UnpackRequest(str(folder), devices=True), str(folder))
    owner, mask, left_out = (os.geteuid(), os.getegid()), os.umask(0), 0
    chunks = observed(cancel.checked(archive.chunks), progress)  # type: ignore[arg-type]
    ahead = Ahead(decompressed(chunks))
    try:
        reader = TarReader(_first(ahead.chunks(), archive))
        for entry in reader:
            if entry.kind in _LEFT_OUT or is_whiteout(entry.path):
                left_out += 1
                continue
            unpacker.add(replace(entry, uid=owner[0], gid=owner[1], mode=_mode(entry, owner[0])), reader.content())
        unpacker.finish()
    except ArchiveError as error:
        error.message = f"the context {archive.name}: {error.message}"
        if archive.from_stdin:
            error.hint = "give a tar archive; for a Dockerfile on standard input use --dockerfile=-"
        raise
    except OSError as cause:
        if cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SpaceError(
                f"the context {archive.name} does not fit into {folder.parent}", hint="give another --state-dir"
            ) from cause
        raise
    finally:
        ahead.stop()
        os.umask(mask)
    if left_out:
        emit(Message("warning", f"the context {archive.name}: {left_out} devices, pipes or .wh. names were skipped"))
    return folder


def _mode(entry: Entry, uid: int) -> int:
    """The recorded mode; an owner other than root can also read it."""
    if uid == 0:
        return entry.mode
    return entry.mode | (0o700 if entry.kind is Kind.DIRECTORY else 0o400)


def _first(chunks: Iterator[bytes], archive: Archive) -> Iterator[bytes]:
    """The chunks. Raises :class:`ContextError` where there are none at all."""
    first = next(chunks, b"")
    if not first:
        raise ContextError(
            f"no data found: the context {archive.name} is empty",
            hint="with docker run and kubectl run add --interactive (-i)" if archive.from_stdin else None,
        )
    yield first
    yield from chunks
