"""A layer's tar stream to files on disk, as root of the namespace that owns them. Standard library only.

Theory of operation. With overlay roots each layer has a directory of its own, so whiteouts become overlay's (a 0:0
character device, an opaque attribute); a plain root receives the layers one upon the other and whiteouts delete. Either way
a member's parent is found by walking its components with lstat, in the new directory first and then in the lower ones: an
existing symlink is followed within, a directory that only lower layers have is made with their metadata, as copy-up
would. Nothing else writes here meanwhile, so what was seen as a directory is one, and no path leaves the root.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from typing import Any

from gazami.errors import ArchiveError
from gazami.layer import recorded_owner
from gazami.layer.beneath import remove_tree
from gazami.layer.entry import Entry, Kind
from gazami.layer.recorded_owner import Recorded
from gazami.layer.tar_reader import TarReader
from gazami.layer.tar_sparse import HOLE
from gazami.layer.whiteout import OPAQUE, deleted_name, is_aufs_metadata
from gazami.values import dataclass, field

_CHUNK = 1 << 20
_OURS = ("trusted.overlay.", "user.overlay.", recorded_owner.ATTRIBUTE)
"""Attributes that mean something on this machine, and nothing that an image says."""
_MAX_LINKS = 255


@dataclass(slots=True)
class Target:
    """Where a layer goes. ``lowers`` (topmost first) are the directories of the layers below, of overlay roots only."""

    directory: str
    lowers: tuple[str, ...] = ()
    overlay: bool = True
    userxattr: bool = False
    records_owners: bool = False
    """Owners are kept as attributes, since the namespace has one id."""

    @property
    def opaque_attribute(self) -> str:
        return "user.overlay.opaque" if self.userxattr else "trusted.overlay.opaque"


def unpack(arguments: dict[str, Any], input_fd: int | None, output_fd: int | None) -> dict[str, Any]:
    """Unpack the tar stream on ``input_fd``; what the fork server calls. Returns counts.

    Raises :class:`ArchiveError` for members that cannot be, :class:`OSError` for the host's failures.
    """
    assert input_fd is not None
    target = Target(
        arguments["directory"], tuple(arguments.get("lowers", ())), arguments["overlay"], arguments["userxattr"],
        arguments.get("records_owners", False),
    )  # fmt: skip
    os.umask(0)
    unpacker = Unpacker(target)
    reader = TarReader(_chunks(input_fd))
    for entry in reader:
        unpacker.add(entry, reader.content())
    unpacker.finish()
    return {"members": reader.members, "unmapped": unpacker.unmapped, "skipped": unpacker.skipped}


def _chunks(fd: int) -> Iterator[bytes]:
    while data := os.read(fd, _CHUNK):
        yield data


@dataclass(slots=True)
class Unpacker:
    """Feed members in order, then :meth:`finish`. ``unmapped`` counts owners that the namespace cannot express,
    ``skipped`` devices that it may not make; the recorded header keeps both."""

    target: Target
    unmapped: int = 0
    skipped: int = 0
    _parents: dict[str, str] = field(default_factory=dict)
    _mine: set[str] = field(default_factory=set)
    _times: dict[str, int] = field(default_factory=dict)

    def add(self, entry: Entry, content: Iterator[bytes]) -> None:
        try:
            self._add(entry, content)
        except OSError as cause:
            if cause.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENOTDIR, errno.ENOTEMPTY):
                raise ArchiveError(f"member {entry.path[:200]!r} cannot be unpacked: {cause.strerror}") from cause
            raise

    def finish(self) -> None:
        """Set the times of directories, deepest first, now that nothing is created in them any more."""
        for path in sorted(self._times, reverse=True):
            with contextlib.suppress(OSError):
                os.utime(path, (self._times[path], self._times[path]), follow_symlinks=False)

    # -- members --------------------------------------------------------------------------------------------------

    def _add(self, entry: Entry, content: Iterator[bytes]) -> None:
        if not entry.path:
            if entry.kind is Kind.DIRECTORY:
                self._directory(self.target.directory, entry, exists=True)
            return
        parent, _, name = entry.path.rpartition("/")
        if name.startswith(".wh."):
            self._whiteout(parent, name)
            return
        folder = self._parent(parent)
        path = f"{folder}/{name}"
        old = _lstat(path)
        if entry.kind is Kind.DIRECTORY:
            self._add_directory(path, entry, old)
            return
        if old is not None:
            self._remove(path, old)
        match entry.kind:
            case Kind.FILE:
                self._file(path, entry, content)
            case Kind.SYMLINK:
                os.symlink(entry.link, path)
            case Kind.HARDLINK:
                self._hard_link(path, entry)
            case _:
                if not self._special(path, entry):
                    return
        self._mine.add(path)
        if entry.kind is not Kind.HARDLINK:
            self._attributes(path, entry)

    def _add_directory(self, path: str, entry: Entry, old: os.stat_result | None) -> None:
        hid = False
        if old is not None and not stat.S_ISDIR(old.st_mode):
            hid = _is_overlay_whiteout(old)
            self._remove(path, old)
            old = None
        self._directory(path, entry, exists=old is not None)
        if hid and self.target.overlay:
            os.setxattr(path, self.target.opaque_attribute, b"y")

    def _directory(self, path: str, entry: Entry, *, exists: bool) -> None:
        if not exists:
            os.mkdir(path, 0o700)
        self._mine.add(path)
        self._attributes(path, entry)
        self._times[path] = entry.mtime

    def _file(self, path: str, entry: Entry, content: Iterator[bytes]) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            for piece in content:
                if piece is HOLE or (len(piece) >= 4096 and not piece.strip(b"\0")):
                    os.lseek(fd, len(piece), os.SEEK_CUR)
                    continue
                view = memoryview(piece)
                while view:
                    view = view[os.write(fd, view) :]
            if entry.size:
                os.ftruncate(fd, entry.size)
        finally:
            os.close(fd)

    def _hard_link(self, path: str, entry: Entry) -> None:
        parent, _, name = entry.link.rpartition("/")
        source = f"{self._parent(parent)}/{name}"
        found = _lstat(source)
        if found is None or _is_overlay_whiteout(found):
            self._copy_up(entry, source)
        elif stat.S_ISDIR(found.st_mode):
            raise ArchiveError(f"hard link {entry.path!r} points to the directory {entry.link!r}")
        os.link(source, path, follow_symlinks=False)

    def _copy_up(self, entry: Entry, destination: str) -> None:
        """A hard link to a file of a lower layer takes a copy of it here, as overlay does."""
        relative = destination[len(self.target.directory) + 1 :]
        source = self._lower(relative)
        if source is None or stat.S_ISDIR(os.lstat(source).st_mode):
            raise ArchiveError(f"hard link {entry.path!r} points to {entry.link!r}, which is not a file in the image")
        shutil.copy2(source, destination, follow_symlinks=False)
        info = os.lstat(source)
        os.chown(destination, info.st_uid, info.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(info.st_mode):
            os.chmod(destination, stat.S_IMODE(info.st_mode))
        self._mine.add(destination)

    def _special(self, path: str, entry: Entry) -> bool:
        kinds = {Kind.FIFO: stat.S_IFIFO, Kind.CHARACTER: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK}
        if entry.kind is Kind.CHARACTER and entry.device == (0, 0):
            self.skipped += 1  # would delete the name in an overlay
            return False
        try:
            os.mknod(path, kinds[entry.kind] | 0o600, os.makedev(*entry.device))
        except (PermissionError, OverflowError):
            self.skipped += 1
            return False
        return True

    def _attributes(self, path: str, entry: Entry) -> None:
        try:
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        except (OSError, OverflowError):
            self.unmapped += 1
        if entry.kind is not Kind.SYMLINK:
            os.chmod(path, entry.mode)
        if self.target.records_owners and entry.kind in (Kind.FILE, Kind.DIRECTORY):
            recorded_owner.record(path, Recorded(entry.uid, entry.gid))
        for name, value in entry.xattrs:
            if not name.startswith(_OURS):
                with contextlib.suppress(OSError, ValueError):
                    os.setxattr(path, name, value, follow_symlinks=False)
        if entry.kind is not Kind.DIRECTORY:
            with contextlib.suppress(OverflowError):
                os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)

    # -- deletions ------------------------------------------------------------------------------------------------

    def _whiteout(self, parent: str, name: str) -> None:
        if is_aufs_metadata(name):
            return
        folder = self._parent(parent, create=self.target.overlay)
        if not folder:
            return
        if name == OPAQUE:
            self._make_opaque(folder)
            return
        path = f"{folder}/{deleted_name(name)}"
        if not deleted_name(name) or deleted_name(name) in (".", ".."):
            raise ArchiveError(f"whiteout {name!r} names nothing")
        old = _lstat(path)
        if self.target.overlay:
            if old is None:
                os.mknod(path, stat.S_IFCHR, 0)
            elif stat.S_ISDIR(old.st_mode):
                os.setxattr(path, self.target.opaque_attribute, b"y")
        elif old is not None:
            self._remove_lower(path, old)

    def _make_opaque(self, folder: str) -> None:
        if self.target.overlay:
            os.setxattr(folder, self.target.opaque_attribute, b"y")
            return
        for name in os.listdir(folder):
            path = f"{folder}/{name}"
            self._remove_lower(path, os.lstat(path))

    def _remove_lower(self, path: str, old: os.stat_result) -> None:
        """Delete what lower layers left at a path of a plain root, and nothing that this layer brought."""
        if stat.S_ISDIR(old.st_mode):
            if path not in self._mine and not any(each.startswith(path + "/") for each in self._mine):
                self._remove(path, old)
                return
            for name in os.listdir(path):
                below = f"{path}/{name}"
                self._remove_lower(below, os.lstat(below))
        elif path not in self._mine:
            self._remove(path, old)

    def _remove(self, path: str, old: os.stat_result) -> None:
        if stat.S_ISDIR(old.st_mode):
            remove_tree(path)
            prefix = path + "/"
            self._times = {
                each: when for each, when in self._times.items() if each != path and not each.startswith(prefix)
            }
            self._mine = {each for each in self._mine if each != path and not each.startswith(prefix)}
        else:
            os.unlink(path)
            self._mine.discard(path)
        self._parents.clear()

    # -- parents --------------------------------------------------------------------------------------------------

    def _parent(self, path: str, *, create: bool = True) -> str:
        """The real directory for an entry's parent, made where it is missing; empty when it is not to be made."""
        known = self._parents.get(path)
        if known is not None:
            return known
        todo = [part for part in reversed(path.split("/")) if part]
        trail: list[str] = []
        hops = 0
        while todo:
            name = todo.pop()
            if name == "..":
                del trail[-1:]
                continue
            if name == ".":
                continue
            relative = "/".join([*trail, name])
            here = f"{self.target.directory}/{relative}"
            info = _lstat(here)
            lower = None
            if info is None:
                lower = self._lower(relative)
                info = _lstat(lower) if lower else None
            if info is not None and stat.S_ISLNK(info.st_mode):
                hops += 1
                if hops > _MAX_LINKS:
                    raise ArchiveError(f"too many symbolic links on the way to {path!r}")
                link = os.readlink(lower or here)
                if link.startswith("/"):
                    trail = []
                todo += [part for part in reversed(link.split("/")) if part]
                continue
            if info is None or lower or _is_overlay_whiteout(info):
                if not create and lower is None:
                    return ""
                self._make_parent(here, info if lower else None, info if not lower else None, lower)
            elif not stat.S_ISDIR(info.st_mode):
                raise ArchiveError(f"a member lies below {relative!r}, which is not a directory")
            trail.append(name)
        found = "/".join([self.target.directory, *trail])
        self._parents[path] = found
        return found

    def _make_parent(
        self, path: str, like: os.stat_result | None, replaces: os.stat_result | None, lower: str | None
    ) -> None:
        if like is not None and not stat.S_ISDIR(like.st_mode):
            raise ArchiveError(f"a member lies below {path!r}, which is not a directory")
        if replaces is not None:
            os.unlink(path)
        os.mkdir(path, 0o755)
        if replaces is not None:
            os.setxattr(path, self.target.opaque_attribute, b"y")
        if like is not None:
            if self.target.records_owners and lower and (owner := recorded_owner.recorded(lower)):
                recorded_owner.record(path, owner)
            os.chown(path, like.st_uid, like.st_gid)
            os.chmod(path, stat.S_IMODE(like.st_mode))
            self._times[path] = int(like.st_mtime)
        else:
            os.chmod(path, 0o755)
            if self.target.records_owners:
                recorded_owner.record(path, Recorded(0, 0))

    def _lower(self, relative: str) -> str | None:
        """The topmost lower layer's file at a literal path, None where it is absent or hidden."""
        parts = relative.split("/")
        for root in self.target.lowers:
            path = root
            for number, name in enumerate(parts):
                path = f"{path}/{name}"
                info = _lstat(path)
                if info is None:
                    break
                if _is_overlay_whiteout(info):
                    return None
                if number == len(parts) - 1:
                    return path
                if not stat.S_ISDIR(info.st_mode):
                    return None
            if self._hides(root, parts):
                return None
        return None

    def _hides(self, root: str, parts: list[str]) -> bool:
        """Whether an opaque directory of this layer cuts off the ones below it."""
        path = root
        for name in parts[:-1]:
            path = f"{path}/{name}"
            try:
                if os.getxattr(path, self.target.opaque_attribute, follow_symlinks=False) == b"y":
                    return True
            except OSError as cause:
                if cause.errno in (errno.ENOENT, errno.ENOTDIR):
                    return False
        return False


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _is_overlay_whiteout(info: os.stat_result) -> bool:
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def remove(arguments: dict[str, Any], input_fd: int | None, output_fd: int | None) -> dict[str, Any]:
    """Delete directories that only the namespace's root may delete; what the fork server calls."""
    for path in arguments["paths"]:
        remove_tree(path)
    return {}


def make_directories(arguments: dict[str, Any], input_fd: int | None, output_fd: int | None) -> dict[str, Any]:
    """Make directories, by default 0755 and the namespace's root's; what the fork server calls."""
    for path in arguments["paths"]:
        os.makedirs(path, 0o755, exist_ok=True)
        os.chown(path, arguments.get("uid", 0), arguments.get("gid", 0))
        os.chmod(path, arguments.get("mode", 0o755))
    return {}


def move(arguments: dict[str, Any], input_fd: int | None, output_fd: int | None) -> dict[str, Any]:
    """Rename a directory, making the target's parents; what the fork server calls."""
    os.makedirs(os.path.dirname(arguments["target"]), 0o755, exist_ok=True)
    os.rename(arguments["source"], arguments["target"])
    return {}
