"""The sole owner of temporary paths: one folder a build, under the state directory, gone when the build is over.

A build holds a lock on its folder, so a later one can tell the folder of a killed build and remove it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from gazami.cancel import Cancel
from gazami.errors import HostError, SpaceError
from gazami.layer.blobs import BlobStore
from gazami.rootfs.spool import Spool

_PREFIX = "build-"


class Workspace:
    """A context manager. ``remover`` (set by whoever has a namespace) deletes what only the namespace's root may."""

    def __init__(self, state_dir: str) -> None:
        self._state = Path(state_dir)
        self.remover: Callable[[list[str]], None] | None = None
        self._local = threading.local()
        self._spools: list[Spool] = []
        self._counter = itertools.count(1)

    def __enter__(self) -> Workspace:
        try:
            self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._remove_stale()
            self.root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._state))
            self._lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as cause:
            raise _state_error(self._state, cause) from cause
        self.root.chmod(0o711)
        self.blobs = BlobStore(self.root / "blobs")
        (self.root / "files").mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for spool in self._spools:
            spool.close()
        files = self.root / "files"
        if self.remover is not None and files.exists():
            with contextlib.suppress(Exception):
                self.remover([str(files)])
        shutil.rmtree(self.root, ignore_errors=True)
        os.close(self._lock)

    def spool(self) -> Spool:
        """The calling thread's spool, made when it is first needed."""
        spool: Spool | None = getattr(self._local, "spool", None)
        if spool is None:
            spool = self._local.spool = Spool(self.root)
            self._spools.append(spool)
        return spool

    def new_path(self, what: str) -> str:
        """A path for a directory of a stage's files; the namespace's root makes it."""
        return str(self.root / "files" / f"{self.new_name()}-{what}")

    def new_name(self) -> str:
        """A name that nothing else in this build has."""
        return str(next(self._counter))

    @property
    def files(self) -> str:
        return str(self.root / "files")

    def _remove_stale(self) -> None:
        for folder in self._state.glob(_PREFIX + "*"):
            try:
                fd = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pass  # another build lives in it
            else:
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(fd)


def is_full(path: str) -> bool:
    """Whether the file system of a path has less than 1 MiB or no file left."""
    info = os.statvfs(path)
    return info.f_bavail * info.f_frsize < 1 << 20 or (info.f_files > 0 and info.f_favail == 0)


@contextlib.contextmanager
def locked(paths: tuple[str, ...], cancel: Cancel) -> Iterator[None]:
    """Hold exclusive locks on files (made where they are missing), waiting for other builds to give them up."""
    with contextlib.ExitStack() as held:
        for path in paths:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.callback(os.close, fd)
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    cancel.wait(0.1)
                    cancel.check()
        yield


def _state_error(place: Path, cause: OSError) -> HostError:
    if cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return SpaceError(f"no space left in the state directory {place}", hint="give another one with --state-dir")
    return HostError(
        f"the state directory {place} cannot be used: {cause.strerror}",
        hint="give a writable one with --state-dir or $GAZAMI_STATE_DIR",
    )
