"""The image's files as files: in a directory, or as a tar (``--output type=local`` and ``type=tar``)."""

from __future__ import annotations

import errno
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gazami.builder.files.layer_files import LayerFiles, observed, phase
from gazami.builder.files.squash import merged
from gazami.builder.request import FileExport
from gazami.errors import HostError, SpaceError
from gazami.image.model import Layer
from gazami.layer.beneath import open_content
from gazami.layer.entry import BytesContent, Entry, FileContent
from gazami.layer.output_file import output_file
from gazami.layer.tar_writer import write_members
from gazami.rootfs.requests import UnpackRequest
from gazami.rootfs.unpack import Unpacker
from gazami.values import replace

_CHUNK = 1 << 20
_STDOUT = 1


def export_files(export: FileExport, layers: tuple[Layer, ...], files: LayerFiles, write_layout: Callable[[Path], None]) -> None:
    """Write one export. Raises :class:`HostError`, and :class:`SpaceError` where the disk is full."""
    try:
        match export.kind:
            case "local":
                _to_directory(Path(export.dest), layers, files)
            case "tar":
                with _opened(export.dest) as out:
                    _to_tar(out, layers, files)
            case "oci":
                with tempfile.TemporaryDirectory(dir=files.workspace.root) as folder, _opened(export.dest) as out:
                    write_layout(Path(folder))
                    _archive(Path(folder), out)
    except BrokenPipeError as cause:
        raise HostError(f"the reader of {_named(export.dest)} stopped reading") from cause
    except OSError as cause:
        kind = SpaceError if cause.errno in (errno.ENOSPC, errno.EDQUOT) else HostError
        raise kind(f"cannot write {_named(export.dest)}: {cause.strerror}") from cause


def _to_tar(out: BinaryIO, layers: tuple[Layer, ...], files: LayerFiles) -> None:
    with phase(files.emit, "export-tar", "writing the image's files") as progress:
        for chunk in observed(files.cancel.checked(write_members(merged(layers, files))), progress):
            out.write(chunk)


def _to_directory(folder: Path, layers: tuple[Layer, ...], files: LayerFiles) -> None:
    """Files become the caller's; symlinks that are there already are never followed out of the directory."""
    folder.mkdir(parents=True, exist_ok=True)
    top = str(folder.resolve())
    unpacker = Unpacker(UnpackRequest(top, devices=True), top)
    owner = os.geteuid(), os.getegid()
    mask = os.umask(0)
    try:
        with phase(files.emit, "export-local", "writing the image's files"):
            for entry, content in merged(layers, files):
                files.cancel.check()
                if entry.path:
                    unpacker.add(replace(entry, uid=owner[0], gid=owner[1], xattrs=()), _bytes(content, entry))
            unpacker.finish()
    finally:
        os.umask(mask)


def _bytes(content: FileContent | BytesContent | None, entry: Entry) -> Iterator[bytes]:
    if isinstance(content, BytesContent):
        yield content.data
    elif content is not None:
        with open_content(content) as file:
            left = entry.size
            while left > 0 and (chunk := file.read(min(left, _CHUNK))):
                left -= len(chunk)
                yield chunk


@contextmanager
def _opened(dest: str) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears whole."""
    if dest == "-":
        with open(_STDOUT, "wb", closefd=False) as out:
            yield out
        return
    path = Path(dest)
    path.parent.mkdir(parents=True, exist_ok=True)
    with output_file(path) as file:
        yield file


def _archive(folder: Path, out: BinaryIO) -> None:
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            info = archive.gettarinfo(path, str(path.relative_to(folder)))
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime = 0
            if path.is_file():
                with path.open("rb") as file:
                    archive.addfile(info, file)
            else:
                archive.addfile(info)


def _named(dest: str) -> str:
    return "standard output" if dest == "-" else dest
