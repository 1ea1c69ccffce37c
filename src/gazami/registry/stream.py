"""A blob that is uploaded while it is still being written: its digest is named when it is complete.

This is docker's own way to push, a PATCH of unknown length. If it fails, the caller pushes the complete file as usual. The registry
checks the digest at the end.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gazami.cancel import Cancel
from gazami.errors import Cancelled, GazamiError
from gazami.registry.exchange import Body
from gazami.registry.session import Call, Session
from gazami.registry.wire import with_query
from gazami.worker import Worker

if TYPE_CHECKING:
    from gazami.image.manifest import Descriptor

STARTS_AT = 16 << 20
"""Bytes that there must be before it is worth a request: smaller blobs are there at once anyway."""

_PIECE = 1 << 20
_POLL = 0.02


class GrowingUpload:
    """Follows a file that another thread appends to. :meth:`complete` or :meth:`abandon` ends it."""

    def __init__(self, session: Session, repository: str, path: Path, timeout: float) -> None:
        self._session, self._repository, self._timeout = session, repository, timeout
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._whole = threading.Event()
        self._stop = Cancel()
        self._location: str | None = None
        self._sent = 0
        try:
            self._worker = Worker("grow", self._run)
        except BaseException:
            os.close(self._fd)
            raise

    def complete(self, descriptor: Descriptor) -> bool:
        """The file is complete and is this blob: wait for the rest of it; whether the registry has it now.

        What a registry does not like is a reason to upload it again; anything else that ended the thread is raised."""
        self._whole.set()
        try:
            self._worker.result()
        finally:
            self._close()
        if self._location is None or self._sent != descriptor.size:
            return False
        url = with_query(self._location, "digest", descriptor.digest)
        call = self._call("PUT", url, timeout=self._timeout)
        try:
            with self._session.attempt(call) as response:
                return response.status in (201, 204)
        except Cancelled:
            raise
        except GazamiError:
            return False

    def give_up(self) -> None:
        """Send no more; :meth:`complete` will say that it is not there."""
        self._whole.set()
        self._stop.set("the upload was cancelled")

    def abandon(self) -> None:
        """End it, whether it was completed or not."""
        self.give_up()
        self._worker.join()
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _run(self) -> None:
        with self._session.transport.obeying(self._stop):
            self._follow()

    def _follow(self) -> None:
        try:
            while self._size() < STARTS_AT:
                if self._whole.wait(_POLL):
                    return
            with self._session.send(self._call("POST", f"/v2/{self._repository}/blobs/uploads/")) as response:
                location = self._session.location(response) if response.status == 202 else None
            if location is None:
                return
            call = self._call("PATCH", location, body=Body(None, self._pieces))
            with self._session.attempt(call) as response:
                if 200 <= response.status < 300:
                    self._location = self._session.location(response) or location
        except GazamiError:
            self._location = None

    def _pieces(self) -> Iterator[bytes]:
        self._sent = 0
        while True:
            self._session.transport.cancel.check()
            whole = self._whole.is_set()  # before the read: what is read after that is all there is
            piece = os.pread(self._fd, _PIECE, self._sent)
            if piece:
                self._sent += len(piece)
                yield piece
            elif whole:
                return
            else:
                self._whole.wait(_POLL)

    def _size(self) -> int:
        return os.fstat(self._fd).st_size

    def _call(self, method: str, target: str, *, body: Body | None = None, timeout: float | None = None) -> Call:
        headers = (("Content-Type", "application/octet-stream"),) if method != "POST" else ()
        scopes = (f"repository:{self._repository}:pull,push",)
        return Call(method, target, self._repository, scopes, headers, body, timeout)
