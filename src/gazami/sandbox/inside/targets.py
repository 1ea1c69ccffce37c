"""What had to be made in a root to mount something on, and how it disappears again.

A mount needs a target. One that the image lacks is made, and must leave no trace in the layer: after the command it is
removed if it is still as it was made; the parents get their modification times back; and a directory that was copied up into the
overlay's upper directory only for this is removed from there.

To tell the command's changes from ours, the parents' times are set back to what they were *before* the command
runs: a time that differs afterwards is the command's doing, and then the directory is left alone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from gazami.layer.beneath import open_directory
from gazami.sandbox.inside.paths import FileType, Names, PathFd, opened
from gazami.values import fast_dataclass, field


@fast_dataclass(frozen=True, slots=True)
class Touched:
    """A directory that existed and in which, or below which, something was made, as it was before. ``meta`` is its metadata."""

    path: str
    mtime_ns: int
    copied_up: bool
    meta: str


@fast_dataclass(frozen=True, slots=True)
class TargetRecord:
    """What was made, as path and type, parents first, and which directories that touched."""

    made: tuple[tuple[str, FileType], ...]
    touched: tuple[Touched, ...]


@fast_dataclass(slots=True)
class Targets:
    """The record of one root while it is prepared. ``upper`` is the directory beneath an overlay, None for a plain root.

    ``foreign`` are the mounts of the step: what is made inside one of them is not in the root.
    """

    upper: int | None = None
    made: list[tuple[str, FileType]] = field(default_factory=list)
    touched: dict[str, Touched] = field(default_factory=dict)
    foreign: list[Names] = field(default_factory=list)
    _opened: dict[str, int] = field(default_factory=dict)
    """Descriptors of the directories in which something was made, by path."""

    def on_make(self, parent: PathFd, name: str, file_type: FileType) -> None:
        """Note that ``name`` is about to be made in ``parent``."""
        if self._is_foreign(parent.names):
            return
        self.note_parent(parent)
        self.made.append(("/".join((*parent.names, name)), file_type))

    def note_parent(self, parent: PathFd) -> None:
        """Note that something in ``parent`` is about to change."""
        if self._is_foreign(parent.names):
            return
        made = {path for path, _ in self.made}
        for length in range(len(parent.names) + 1):
            path = "/".join(parent.names[:length])
            if path not in made:
                self._touch(path, parent, levels_up=len(parent.names) - length)

    def _is_foreign(self, names: Names) -> bool:
        return any(names[: len(mount)] == mount for mount in self.foreign)

    def _touch(self, path: str, parent: PathFd, levels_up: int) -> None:
        if path not in self.touched:
            proc = "/".join([parent.proc, *[".."] * levels_up])
            copied_up = self.upper is not None and path != "" and not _exists(self.upper, path)
            self.touched[path] = Touched(path, os.stat(proc).st_mtime_ns, copied_up, _meta(proc))
        if levels_up == 0 and path not in self._opened:
            self._opened[path] = os.dup(parent.fd)

    def restore_times(self) -> None:
        """Set the parents' modification times back, before the command runs."""
        while self._opened:
            path, fd = self._opened.popitem()
            _set_mtime(f"/proc/self/fd/{fd}", self.touched[path].mtime_ns)
            os.close(fd)

    def record(self) -> TargetRecord:
        return TargetRecord(tuple(self.made), tuple(self.touched.values()))


Times = dict[str, int | None]
"""Modification times, in nanoseconds, by path; None for what is no directory any more."""


def times_of(base: str, record: TargetRecord, hidden: Sequence[str] = ()) -> Times:
    """The times of the touched directories as the command left them, to be taken before anything is undone. ``hidden`` are paths
    that were out of the command's reach, with what is below them."""
    with opened(base, os.O_PATH | os.O_DIRECTORY) as root:
        return {
            item.path: item.mtime_ns if any(f"{item.path}/".startswith(f"{each}/") for each in hidden) else _mtime(root, item.path)
            for item in record.touched
        }


def clean(base: str, record: TargetRecord, times: Times) -> tuple[str, ...]:
    """Undo a record in ``base``, the upper directory or plain root; returns what is gone, parents first.

    The command has ended, yet it may have put symbolic links in the way, so nothing is reached through one.
    """
    with opened(base, os.O_PATH | os.O_DIRECTORY) as root:
        gone = [path for path, file_type in reversed(record.made) if _remove(root, path, file_type)]
        for item in sorted(record.touched, key=lambda item: -item.path.count("/") if item.path else 1):
            now = times[item.path]
            if now is None or (item.copied_up and now == item.mtime_ns and _remove_copy(root, item)):
                continue
            with suppress(OSError), _parent(root, item.path) as (parent, name):
                os.utime(name, ns=(now, now), dir_fd=parent, follow_symlinks=False)
        return tuple(reversed(gone))


def _remove(root: int, path: str, file_type: FileType) -> bool:
    """Remove what was made if it is still an empty file or an empty directory of root's; True when it is gone."""
    try:
        with _parent(root, path) as (parent, name):
            state = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if state.st_uid or state.st_gid:
                return False
            if file_type == "directory" and stat.S_ISDIR(state.st_mode) and stat.S_IMODE(state.st_mode) == 0o755:
                os.rmdir(name, dir_fd=parent)
                return True
            if file_type == "file" and stat.S_ISREG(state.st_mode) and state.st_size == 0:
                os.unlink(name, dir_fd=parent)
                return True
            return False
    except (FileNotFoundError, _Unreachable):
        return True
    except OSError:
        return False


def _remove_copy(root: int, item: Touched) -> bool:
    """Remove a copied-up directory that holds nothing and is as it was below."""
    with suppress(OSError), _parent(root, item.path) as (parent, name):
        with opened(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=parent) as fd:
            unchanged = _meta(f"/proc/self/fd/{fd}") == item.meta
        if unchanged:
            os.rmdir(name, dir_fd=parent)
            return True
    return False


class _Unreachable(OSError):
    """Something on the way is missing or no directory."""


@contextmanager
def _parent(root: int, path: str) -> Iterator[tuple[int, str]]:
    """A descriptor of the directory that holds ``path`` and the last name; no symbolic link is followed."""
    above, _, name = path.rpartition("/")
    try:
        fd = open_directory(root, above)
    except OSError as error:
        raise _Unreachable(error.errno, error.strerror, path) from None
    try:
        yield fd, name or "."
    finally:
        os.close(fd)


def _mtime(root: int, path: str) -> int | None:
    with suppress(OSError), _parent(root, path) as (parent, name):
        state = os.stat(name, dir_fd=parent, follow_symlinks=False)
        return state.st_mtime_ns if stat.S_ISDIR(state.st_mode) else None
    return None


def _exists(root: int, path: str) -> bool:
    return _mtime(root, path) is not None


def _meta(proc: str) -> str:
    """What must not have changed: type, mode, owner and extended attributes, as comparable text.

    Overlay's own attributes count, except the one that says where a copy came from: an opaque directory is not empty of meaning.
    """
    state = os.stat(proc)
    names = sorted(name for name in _xattrs(proc) if ".overlay." not in name or name.endswith(".opaque"))
    values = [(name, os.getxattr(proc, name).hex()) for name in names]
    return repr((state.st_mode, state.st_uid, state.st_gid, values))


def _xattrs(proc: str) -> list[str]:
    try:
        return os.listxattr(proc)
    except OSError:
        return []


def _set_mtime(path: str, mtime_ns: int) -> None:
    with suppress(OSError):
        os.utime(path, ns=(os.stat(path).st_atime_ns, mtime_ns))
