"""Can every output be written? Asked before the first step, by the rules of :mod:`gazami.layer.output_file`.

A build that compiles and pushes for an hour and then has nowhere to put its digest file has failed an hour too late.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gazami.builder.request import FileExport, OutputOptions
from gazami.errors import HostError, SpaceError
from gazami.layer.output_file import is_descriptor

_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
"""Answers of kernels and file systems that have no files without a name."""


def unwritable(output: OutputOptions, failed: FileExport | None) -> Iterator[HostError]:
    """An error for each output that cannot be written; ``failed`` is that of a step that fails."""
    for flag, place, is_folder in _places(output, failed):
        if not place or place == "-" or place.startswith(("http://", "https://")):
            continue
        try:
            if flag == "--on-failure" and is_folder and os.path.isdir(place) and os.listdir(place):
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
            if is_folder:
                _try_folder(Path(place))
            elif not is_descriptor(place):
                _try_file(Path(place))
        except OSError as cause:
            yield _error(flag, place, cause)


def _places(output: OutputOptions, failed: FileExport | None) -> Iterator[tuple[str, str, bool]]:
    """``(flag, path, whether it is a directory)`` of every output."""
    for place in output.tar_paths:
        yield "--tar-path", place, False
    for place in output.oci_layout_paths:
        yield "--oci-layout-path", place, True
    for export in output.exports:
        yield "--output", export.dest, export.kind == "local"
    if failed is not None:
        yield "--on-failure", failed.dest, failed.kind == "local"
    yield "--digest-file", output.files.digest, False
    yield "--image-name-with-digest-file", output.files.names, False
    yield "--image-name-tag-with-digest-file", output.files.tagged_names, False
    yield "--iidfile", output.files.image_id, False
    yield "--metadata-file", output.files.metadata, False
    if output.push:
        yield "BUILDER_OUTPUT", output.files.builder_output, True


def _try_file(path: Path) -> None:
    """Raises OSError where a file of that name could not be written."""
    try:
        old = os.lstat(path)
    except FileNotFoundError:
        _try_folder(path.parent)
        return
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    try:
        _try_folder(path.parent)
    except OSError as cause:
        if cause.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not os.access(path, os.W_OK):
            raise


def _try_folder(folder: Path) -> None:
    """Raises OSError where a directory could not take a new file; for a missing one its nearest existing parent counts.

    A file without a name (O_TMPFILE) tries it: it leaves no trace, not even a new time of the directory, which may be part of
    the build context.
    """
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as cause:
        if cause.errno not in _UNNAMED:
            raise
        _try_named(folder)


def _try_named(folder: Path) -> None:
    """The same with a file that has a name for a moment; the directory gets its times back."""
    info = os.stat(folder)
    path = folder / f".gazami-{os.urandom(12).hex()}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    os.unlink(path)
    with contextlib.suppress(OSError):
        os.utime(folder, ns=(info.st_atime_ns, info.st_mtime_ns))


def _error(flag: str, place: str, cause: OSError) -> HostError:
    name = str(cause.filename or "")
    where = f" ({name})" if name and name != place and ".gazami-" not in name else ""
    message = f"{flag}: cannot write {place}: {cause.strerror}{where}"
    if cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return SpaceError(message, hint="free some space there, or write it to another file system")
    return HostError(message, hint="give a path that this user may write to")
