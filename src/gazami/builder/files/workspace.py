"""The sole owner of temporary paths: one folder a build, under the state directory, gone when the build is over.

A build holds a lock on its folder, so a later one can tell the folder of a killed build and remove it.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import stat
import threading
import time
from pathlib import Path
from types import TracebackType

from gazami.builder.files import memory
from gazami.builder.files.state_directory import claim, state_error
from gazami.layer.beneath import remove_tree
from gazami.layer.blobs import BlobStore
from gazami.rootfs.spool import Spool

_PREFIX = "build-"
_BEGINNING = 60.0
"""Seconds in which a build has locked its new folder."""


class Workspace:
    """A context manager. ``state`` is what outlives the build."""

    state: Path

    def __init__(self, state_dir: str) -> None:
        self._state = state_dir
        self._local = threading.local()
        self._spools: list[Spool] = []
        self._counter = itertools.count(1)
        self._memory: Path | None = None
        self._elsewhere: Path | None = None
        self._locks: list[int] = []
        self._leaving = False

    def __enter__(self) -> Workspace:
        try:
            self.state = claim(self._state)
            _remove_stale(self.state, _PREFIX)
            self.root, self._lock = _locked_folder(self.state, _PREFIX)
        except OSError as cause:
            raise state_error(Path(self._state), cause) from cause
        self.blobs = BlobStore(self.root / "blobs")
        (self.root / "files").mkdir()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for spool in self._spools:
            spool.close()
        remove_tree(str(self.root))
        os.close(self._lock)
        for place in (self._memory, self._elsewhere):
            if place is not None:
                remove_tree(str(place))
        self._memory = self._elsewhere = None
        while self._locks:
            os.close(self._locks.pop())

    def use_memory(self) -> None:
        """Put the files of stages on a tmpfs from now on, as long as there is room."""
        if self._memory is not None:
            return
        with contextlib.suppress(OSError):
            self._memory = self._folder_in(Path(memory.PLACE))

    def use_place(self, place: str) -> None:
        """Make directories on the mount of ``place`` from now on, below it if it is not in the state directory."""
        self._leaving = True
        if self._elsewhere is None and not Path(place).is_relative_to(self.state):
            self._elsewhere = self._folder_in(Path(place))

    def _folder_in(self, place: Path) -> Path:
        """A locked folder of this build's, with one for files in it."""
        prefix = f"gazami-{os.getuid()}-{_PREFIX}"
        _remove_stale(place, prefix)
        folder, lock = _locked_folder(place, prefix)
        self._locks.append(lock)
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


def remove_stale(state: Path) -> None:
    """Remove what builds that were killed have left in a state directory."""
    _remove_stale(state, _PREFIX)


def _locked_folder(place: Path, prefix: str) -> tuple[Path, int]:
    """A new folder (0700) and the descriptor of its lock. It gets the name by which others look for folders of killed builds when
    it is locked, so none takes it for one."""
    new = place / f".new-{prefix}{os.urandom(8).hex()}"
    new.mkdir(mode=0o700)
    lock = os.open(new / "lock", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder = new.with_name(new.name.removeprefix(".new-"))
    new.rename(folder)
    return folder, lock


def _remove_stale(place: Path, prefix: str) -> None:
    """Remove what builds of this user's that were killed left behind. A folder that has no lock yet is a build's that begins,
    unless it is old."""
    for folder in (*place.glob(f"{prefix}*"), *place.glob(f".new-{prefix}*")):
        try:
            info = folder.lstat()
            if info.st_uid != os.geteuid() or not stat.S_ISDIR(info.st_mode):
                continue
            if folder.name.startswith(".new-") and time.time() - info.st_mtime < _BEGINNING:
                continue
            lock = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            if folder.name.startswith(".new-"):
                remove_tree(str(folder))
            continue
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # another build lives in it
        else:
            remove_tree(str(folder))
        finally:
            os.close(lock)


def is_full(path: str) -> bool:
    """Whether the file system of a path has less than 1 MiB or no file left."""
    info = os.statvfs(path)
    return info.f_bavail * info.f_frsize < 1 << 20 or (info.f_files > 0 and info.f_favail == 0)
