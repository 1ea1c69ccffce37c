"""One file that holds the bytes of many: contents that must be fetched before they can be packed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from gazami.layer.entry import FileContent


class Spool:
    """Append-only. Creating one file per content costs ten times as much as appending to one."""

    def __init__(self, folder: Path) -> None:
        fd, self._path = tempfile.mkstemp(dir=folder, prefix="spool-")
        self._fd, self._end = fd, 0

    def add(self, chunks: Iterable[bytes]) -> FileContent:
        """Store bytes; the result says where they are."""
        start = self._end
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                written = os.write(self._fd, view)
                view = view[written:]
                self._end += written
        return FileContent(self._path, start)

    def close(self) -> None:
        os.close(self._fd)
        Path(self._path).unlink(missing_ok=True)
