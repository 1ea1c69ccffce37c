"""The sole owner of temporary paths: one folder a build, under the state directory, gone when the build is over.

A build holds a lock on its folder, so a later one can tell the folder of a killed build and remove it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from gazami.builder import memory
from gazami.cancel import Cancel
from gazami.errors import HostError, SpaceError
from gazami.layer.beneath import remove_tree
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
        self._memory: Path | None = None
        self._elsewhere: Path | None = None
        self._locks: list[int] = []
        self._leaving = False

    def __enter__(self) -> Workspace:
        try:
            self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
            _remove_stale(self._state, _PREFIX)
            self.root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._state))
            self._lock = _lock(self.root)
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
        if self.remover is not None:
            with contextlib.suppress(Exception):
                self.remover(self.all_files)
        remove_tree(str(self.root))
        os.close(self._lock)
        for place in (self._memory, self._elsewhere):
            if place is not None:
                remove_tree(str(place))
        while self._locks:
            os.close(self._locks.pop())

    def use_memory(self) -> None:
        """Put the files of stages on a tmpfs from now on, as long as there is room."""
        with contextlib.suppress(OSError):
            self._memory = self._folder_in(Path(memory.PLACE))

    def use_place(self, place: str) -> None:
        """Make directories on the mount of ``place`` from now on, below it if it is not in the state directory."""
        self._leaving = True
        if not Path(place).is_relative_to(self._state):
            self._elsewhere = self._folder_in(Path(place))

    def _folder_in(self, place: Path) -> Path:
        """A locked folder of this build's, with one for files in it."""
        prefix = f"gazami-{os.getuid()}-{_PREFIX}"
        _remove_stale(place, prefix)
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        self._locks.append(_lock(folder))
        folder.chmod(0o711)
        (folder / "files").mkdir()
        return folder

    def leave_memory(self) -> bool:
        """Make no more directories in memory; whether that changes anything."""
        was, self._leaving = self._leaving, True
        return self._memory is not None and not was

    def spool(self) -> Spool:
        """The calling thread's spool, made when it is first needed."""
        spool: Spool | None = getattr(self._local, "spool", None)
        if spool is None:
            spool = self._local.spool = Spool(self.root)
            self._spools.append(spool)
        return spool

    def new_path(self, what: str) -> str:
        """A path for a directory of a stage's files, in memory while there is room; the namespace's root makes it."""
        if self._memory is not None and not self._leaving and memory.is_scarce(str(self._memory)):
            self._leaving = True
        place = self._elsewhere or (self.root if self._memory is None or self._leaving else self._memory)
        return str(place / "files" / f"{self.new_name()}-{what}")

    def new_name(self) -> str:
        """A name that nothing else in this build has."""
        return str(next(self._counter))

    @property
    def files(self) -> str:
        """Where the files of stages lie at first."""
        return str((self._memory or self.root) / "files")

    @property
    def all_files(self) -> list[str]:
        places = (self.root, self._memory, self._elsewhere)
        return [str(place / "files") for place in places if place is not None]


def _lock(folder: Path) -> int:
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def _remove_stale(place: Path, prefix: str) -> None:
    """Remove what builds that were killed left behind."""
    for folder in place.glob(prefix + "*"):
        try:
            fd = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # another build lives in it
        else:
            remove_tree(str(folder))
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
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            held.callback(os.close, fd)
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
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
