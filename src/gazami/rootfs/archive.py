"""Local archives that ADD unpacks: detection by content, and members with the offset of their bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from gazami.errors import ArchiveError, RefusedArchive
from gazami.layer.beneath import open_content
from gazami.layer.compression import decompressed, detect
from gazami.layer.entry import Content, Entry, FileContent, Kind
from gazami.layer.tar_reader import TarReader
from gazami.rootfs.spool import Spool
from gazami.values import replace

_CHUNK = 1 << 20
_BLOCK = 512


def is_archive(file_content: FileContent) -> bool:
    """Whether a file is a tar archive in any known compression: its first header must parse. A refused archive counts as one, so it
    is not copied as a file."""
    try:
        with open_content(file_content) as file:
            head = file.read(6)
            if detect(head) == "none" and len(head) < 6:
                return False
            file.seek(0)
            first = bytearray()
            for _ in TarReader(_noted(decompressed(_chunks(file.read)), first)):
                break
            return any(first)  # headers of no file (a label, global records) are an archive, zeros are none
    except RefusedArchive:
        return True
    except (ArchiveError, OSError):
        return False


def _noted(chunks: Iterator[bytes], first: bytearray) -> Iterator[bytes]:
    """The chunks, of which the first block is kept in ``first``."""
    for chunk in chunks:
        if len(first) < _BLOCK:
            first += chunk[: _BLOCK - len(first)]
        yield chunk


def archive_members(archive: FileContent, spool: Callable[[], Spool]) -> Iterator[tuple[Entry, Content | None]]:
    """The members in the archive's order. An uncompressed archive is its own store; others go through a spool.

    Raises :class:`ArchiveError` for anything hostile, corrupt or truncated.
    """
    with open_content(archive) as file:
        plain = detect(os.pread(file.fileno(), 6, 0)) == "none"
        reader = TarReader(decompressed(_chunks(file.read)))
        for entry in reader:
            content: Content | None = None
            if entry.kind is Kind.FILE:
                if plain and not reader.is_sparse:
                    content = replace(archive, offset=reader.offset)
                else:
                    content = spool().add(reader.content())
            yield entry, content


def _chunks(read: Callable[[int], bytes | None]) -> Iterator[bytes]:
    while chunk := read(_CHUNK):
        yield chunk
