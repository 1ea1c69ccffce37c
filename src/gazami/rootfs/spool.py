"""One file that holds the bytes of many: contents that must be fetched before they can be packed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from gazami.errors import SpaceError
from gazami.layer.entry import FileContent
from gazami.layer.tar_sparse import HOLE


class Spool:
    """Append-only. Creating one file per content costs ten times as much as appending to one."""

    def __init__(self, folder: Path) -> None:
        import tempfile

        fd, self._path = tempfile.mkstemp(dir=folder, prefix="spool-")
        self._fd, self._end = fd, 0

    def add(self, chunks: Iterable[bytes]) -> FileContent:
        """Store bytes; the result says where they are. The holes of a sparse file stay holes here, yet what is made of the file
        will need its size: raises :class:`SpaceError` where there is no room for that."""
        start, room = self._end, -1
        for chunk in chunks:
            if chunk is HOLE:
                room = os.fstatvfs(self._fd).f_bavail * os.fstatvfs(self._fd).f_frsize if room < 0 else room
                self._end += len(chunk)
                if self._end - start > room:
                    raise SpaceError(
                        f"a sparse file of more than {room} bytes does not fit", hint="give a larger directory with --state-dir"
                    )
                os.ftruncate(self._fd, self._end)
                os.lseek(self._fd, self._end, os.SEEK_SET)
                continue
            view = memoryview(chunk)
            while view:
                written = os.write(self._fd, view)
                view = view[written:]
                self._end += written
        return FileContent(self._path, start)

    def close(self) -> None:
        os.close(self._fd)
        Path(self._path).unlink(missing_ok=True)
