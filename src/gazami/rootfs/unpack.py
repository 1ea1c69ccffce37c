"""A layer's tar stream to files on disk, as root of the namespace that owns them. Standard library only.

Theory of operation. The tree is the one that containerd's overlay snapshots show: as if each layer were unpacked into a directory
of its own, and these were stacked. With overlay roots that is what happens, and whiteouts become overlay's (a 0:0 character
device, an opaque attribute). A plain root receives the layers one upon the other, and whiteouts delete. Either way a
member's parent is found among the files of this layer: a symlink of its own is followed inside the root, one that only
lower layers have is shadowed by a directory, and a directory that only lower layers have is made with their metadata, as
copy-up would.

The fork server's process has made the target its own root (:mod:`.inside`), so none of the paths here leads out.
Source: OCI image spec, layer.md; containerd, ``pkg/archive`` (behaviour).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from gazami.errors import ArchiveError
from gazami.layer import recorded_owner
from gazami.layer.beneath import remove_tree
from gazami.layer.entry import Entry, Kind
from gazami.layer.recorded_owner import Recorded
from gazami.layer.tar_reader import TarReader
from gazami.layer.tar_sparse import HOLE
from gazami.layer.whiteout import OPAQUE, deleted_name, is_aufs_metadata
from gazami.rootfs import inside
from gazami.rootfs.lowers import Lower, copy_file, find, is_whiteout, lstat, open_lowers
from gazami.rootfs.requests import UnpackReport, UnpackRequest
from gazami.values import fast_dataclass, field, replace

_CHUNK = 1 << 20
_OURS = ("trusted.overlay.", "user.overlay.", recorded_owner.ATTRIBUTE)
"""Attributes that mean something on this machine, and nothing that an image says."""
_MAX_LINKS = 255
_IMPOSSIBLE = (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENOTDIR, errno.ENOTEMPTY)


_MACHINES = ("security.selinux", "system.", "trusted.")
"""Attributes that belong to the machine or to its root; that they are not set is no loss."""


def unpack(request: UnpackRequest, input_fd: int) -> UnpackReport:
    """Raises :class:`ArchiveError` for members that cannot be, :class:`OSError` for the host's failures."""
    lowers = open_lowers(request.lowers)
    inside.enter(request.directory)
    os.umask(0)
    unpacker = Unpacker(request, "", lowers)
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        while data := os.read(input_fd, _CHUNK):
            taken += len(data)
            yield data

    reader = TarReader(chunks())
    for entry in reader:
        unpacker.add(entry, reader.content())
    return replace(unpacker.finish(), taken=taken)


@fast_dataclass(slots=True)
class Unpacker:
    """Feed members in order, then :meth:`finish`. ``top`` is a directory in which nothing but the unpacker writes, or empty for
    this process's own root. ``_mine`` are the paths that this layer brought, ``_above`` all directories that hold one,
    ``_unowned`` and ``_unmarked`` what the report counts."""

    request: UnpackRequest
    top: str
    lowers: tuple[Lower, ...] = ()
    _unowned: int = 0
    _unmarked: int = 0
    _parents: dict[str, str] = field(default_factory=dict)
    _mine: set[str] = field(default_factory=set)
    _above: set[str] = field(default_factory=set)
    _times: dict[str, int] = field(default_factory=dict)

    def add(self, entry: Entry, content: Iterator[bytes]) -> None:
        try:
            self._add(entry, content)
        except OSError as cause:
            if cause.errno in _IMPOSSIBLE:
                raise ArchiveError(f"member {entry.path[:200]!r} cannot be unpacked: {cause.strerror}") from cause
            raise

    def finish(self) -> UnpackReport:
        """Set the times of directories, deepest first, now that nothing is created in them any more."""
        for path in sorted(self._times, reverse=True):
            with contextlib.suppress(OSError, OverflowError):
                os.utime(path or "/", (self._times[path], self._times[path]), follow_symlinks=False)
        return UnpackReport(self._unowned, self._unmarked)

    # -- members --------------------------------------------------------------------------------------------------

    def _add(self, entry: Entry, content: Iterator[bytes]) -> None:
        if not entry.path:
            if entry.kind is Kind.DIRECTORY:
                self._directory(self.top, entry, exists=True)
            return
        parent, _, name = entry.path.rpartition("/")
        if name.startswith(".wh."):
            self._whiteout(parent, name)
            return
        path = f"{self._parent(parent)}/{name}"
        if entry.kind is Kind.FILE:
            self._file(path, entry, content)
            return
        old = lstat(path)
        if entry.kind is Kind.DIRECTORY:
            self._add_directory(path, entry, old)
            return
        if old is not None:
            self._remove(path, old)
        match entry.kind:
            case Kind.SYMLINK:
                os.symlink(entry.link, path)
            case Kind.HARDLINK:
                self._hard_link(path, entry)
            case _:
                if not self._special(path, entry):
                    return
        self._brought(path)
        if entry.kind is not Kind.HARDLINK:
            self._attributes(path, path, entry)

    def _brought(self, path: str) -> None:
        self._mine.add(path)
        parent = path.rpartition("/")[0]
        while parent and parent not in self._above:
            self._above.add(parent)
            parent = parent.rpartition("/")[0]

    def _add_directory(self, path: str, entry: Entry, old: os.stat_result | None) -> None:
        hid = False
        if old is not None and not stat.S_ISDIR(old.st_mode):
            hid = is_whiteout(old)
            self._remove(path, old)
            old = None
        self._directory(path, entry, exists=old is not None)
        if hid and self.request.overlay:
            os.setxattr(path, self.request.opaque_attribute, b"y")

    def _directory(self, path: str, entry: Entry, *, exists: bool) -> None:
        if not exists:
            os.mkdir(path, 0o700)
        self._brought(path)
        self._attributes(path or "/", path or "/", entry)
        self._times[path] = entry.mtime

    def _file(self, path: str, entry: Entry, content: Iterator[bytes]) -> None:
        fd = self._create(path)
        try:
            at_hole = False
            for piece in content:
                at_hole = piece is HOLE or (piece[:1] == b"\0" and len(piece) >= 4096 and not piece.strip(b"\0"))
                if at_hole:
                    os.lseek(fd, len(piece), os.SEEK_CUR)
                    continue
                view = memoryview(piece)
                while view:
                    view = view[os.write(fd, view) :]
            if at_hole:
                os.ftruncate(fd, entry.size)
            self._brought(path)
            self._attributes(fd, path, entry)  # by its descriptor: no path is walked again
        finally:
            os.close(fd)

    def _create(self, path: str) -> int:
        """A new file for writing, instead of whatever this layer or one below in a plain root had there."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o600)
        except FileExistsError:
            self._remove(path, os.lstat(path))
            return os.open(path, flags, 0o600)

    def _hard_link(self, path: str, entry: Entry) -> None:
        target = self._linked(entry)
        found = lstat(target)
        if found is None or is_whiteout(found):
            target = self._copy_up(entry, target)
        elif stat.S_ISDIR(found.st_mode):
            raise ArchiveError(f"hard link {entry.path!r} points to the directory {entry.link!r}")
        os.link(target, path, follow_symlinks=False)

    def _linked(self, entry: Entry) -> str:
        """Where a hard link's target lies; links of lower layers on the way are followed, and nothing is made."""
        todo = [part for part in reversed(entry.link.split("/")) if part]
        trail: list[str] = []
        hops = 0
        while todo:
            name = todo.pop()
            if name == "..":
                del trail[-1:]
            if name in (".", ".."):
                continue
            trail.append(name)
            link = self._link_of("/".join(trail)) if todo else None
            if link is not None:
                hops += 1
                if hops > _MAX_LINKS:
                    raise ArchiveError(f"too many symbolic links on the way to {entry.link!r}")
                del trail[0 if link.startswith("/") else -1 :]
                todo += [part for part in reversed(link.split("/")) if part]
        return self.top + "".join(f"/{name}" for name in trail)

    def _link_of(self, relative: str) -> str | None:
        """The text of the symlink that the image has at a path, None where it has none."""
        target = f"{self.top}/{relative}"
        info = lstat(target)
        if info is not None:
            return os.readlink(target) if stat.S_ISLNK(info.st_mode) else None
        below = self._find_lower(relative)
        return below[0].readlink(relative) if below and stat.S_ISLNK(below[1].st_mode) else None

    def _copy_up(self, entry: Entry, target: str) -> str:
        """A hard link to a file of a lower layer takes a copy of it here, as overlay does; where that is."""
        below = self._find_lower(target[1:])
        if below is None or not (stat.S_ISREG(below[1].st_mode) or stat.S_ISLNK(below[1].st_mode)):
            raise ArchiveError(f"hard link {entry.path!r} points to {entry.link!r}, which is not a file in the image")
        lower, info = below
        parent, _, name = target.rpartition("/")
        copy = f"{self._parent(parent[1:])}/{name}"
        if lstat(copy) is not None:  # a whiteout that this layer has just made
            os.unlink(copy)
        if stat.S_ISLNK(info.st_mode):
            os.symlink(lower.readlink(target[1:]), copy)
        else:
            copy_file(lower.open(target[1:]), copy, _OURS[:2])
        os.chown(copy, info.st_uid, info.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(info.st_mode):
            os.chmod(copy, stat.S_IMODE(info.st_mode))
        os.utime(copy, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)
        self._brought(copy)
        return copy

    def _special(self, path: str, entry: Entry) -> bool:
        """Make a FIFO or device; False where it may not be, and only the layer has it."""
        kinds = {Kind.FIFO: stat.S_IFIFO, Kind.CHARACTER: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK}
        if entry.kind is Kind.CHARACTER and entry.device == (0, 0):  # would delete the name in an overlay
            return False
        if entry.kind is not Kind.FIFO and not self.request.devices:
            return False
        try:
            os.mknod(path, kinds[entry.kind] | 0o600, os.makedev(*entry.device))
        except (PermissionError, OverflowError):
            return False
        return True

    def _attributes(self, file: str | int, path: str, entry: Entry) -> None:
        """Of the file at ``path``, which is open as ``file``, or is the same path."""
        is_open = isinstance(file, int)
        try:
            os.chown(file, entry.uid, entry.gid, follow_symlinks=is_open)
        except (OSError, OverflowError):
            self._unowned += not self.request.records_owners
        if entry.kind is not Kind.SYMLINK:
            os.chmod(file, entry.mode)
        if self.request.records_owners and entry.kind in (Kind.FILE, Kind.DIRECTORY):
            recorded_owner.record(path, Recorded(entry.uid, entry.gid))
        for name, value in entry.xattrs:
            if not name.startswith(_OURS):
                try:
                    os.setxattr(file, name, value, follow_symlinks=is_open)
                except (OSError, ValueError):
                    self._unmarked += not name.startswith(_MACHINES)
        if entry.kind is not Kind.DIRECTORY:
            with contextlib.suppress(OverflowError):
                os.utime(file, (entry.mtime, entry.mtime), follow_symlinks=is_open)

    # -- deletions ------------------------------------------------------------------------------------------------

    def _whiteout(self, parent: str, name: str) -> None:
        if is_aufs_metadata(name) or (name == OPAQUE and not parent):  # the kernel's overlay has no opaque root
            return
        folder = self._parent(parent)
        if name == OPAQUE:
            self._make_opaque(folder)
            return
        deleted = deleted_name(name)
        if not deleted or deleted in (".", ".."):
            raise ArchiveError(f"whiteout {name!r} names nothing")
        path = f"{folder}/{deleted}"
        old = lstat(path)
        if not self.request.overlay:
            if old is not None:
                self._remove_lower(path, old)
        elif old is None:
            if self._find_lower(path[1:]) is not None:  # else a directory of one layer would list the name
                os.mknod(path, stat.S_IFCHR, 0)
        elif stat.S_ISDIR(old.st_mode):
            os.setxattr(path, self.request.opaque_attribute, b"y")

    def _make_opaque(self, folder: str) -> None:
        if self.request.overlay:
            os.setxattr(folder, self.request.opaque_attribute, b"y")
            return
        for name in os.listdir(folder):
            path = f"{folder}/{name}"
            self._remove_lower(path, os.lstat(path))

    def _remove_lower(self, path: str, old: os.stat_result) -> None:
        """Delete what lower layers left at a path of a plain root, and nothing that this layer brought."""
        if path in self._mine and not stat.S_ISDIR(old.st_mode):
            return
        if stat.S_ISDIR(old.st_mode) and (path in self._mine or path in self._above):
            for name in os.listdir(path):
                below = f"{path}/{name}"
                self._remove_lower(below, os.lstat(below))
            return
        self._remove(path, old)

    def _remove(self, path: str, old: os.stat_result) -> None:
        if stat.S_ISDIR(old.st_mode):
            remove_tree(path)
            if path in self._mine or path in self._above:
                self._forget(path)
        else:
            os.unlink(path)
            self._mine.discard(path)
        if stat.S_ISDIR(old.st_mode) or stat.S_ISLNK(old.st_mode):
            self._parents.clear()

    def _forget(self, path: str) -> None:
        """A directory of this layer was replaced by the layer itself."""
        prefix = path + "/"
        gone = {each for each in (*self._mine, *self._above) if each == path or each.startswith(prefix)}
        self._mine -= gone
        self._above -= gone
        for each in gone:
            self._times.pop(each, None)

    # -- parents --------------------------------------------------------------------------------------------------

    def _parent(self, path: str) -> str:
        """The directory for an entry's parent, made where it is missing."""
        known = self._parents.get(path)
        if known is not None:
            return known
        todo = [part for part in reversed(path.split("/")) if part]
        here = top = self.top
        hops = 0
        while todo:
            name = todo.pop()
            if name == ".." and here != top:
                here = here.rpartition("/")[0]
            if name in (".", ".."):
                continue
            target = f"{here}/{name}"
            info = lstat(target)
            if info is not None and stat.S_ISLNK(info.st_mode) and self._is_of_this_layer(target):
                hops += 1
                if hops > _MAX_LINKS:
                    raise ArchiveError(f"too many symbolic links on the way to {path!r}")
                link = os.readlink(target)
                here = top if link.startswith("/") else here
                todo += [part for part in reversed(link.split("/")) if part]
                continue
            if info is None or not stat.S_ISDIR(info.st_mode):
                self._make_parent(target, info)
            here = target
        self._parents[path] = here
        return here

    def _find_lower(self, relative: str) -> tuple[Lower, os.stat_result] | None:
        return find(self.lowers, relative, self.request.opaque_attribute)

    def _is_of_this_layer(self, path: str) -> bool:
        return self.request.overlay or path in self._mine

    def _make_parent(self, path: str, replaces: os.stat_result | None) -> None:
        """Make a directory that a member needs: like the one of a lower layer, or instead of something that is no directory."""
        if replaces is not None:
            if self._is_of_this_layer(path) and not is_whiteout(replaces):
                raise ArchiveError(f"a member lies below {path[1:]!r}, which is not a directory")
            os.unlink(path)
            self._parents.clear()
        os.mkdir(path, 0o755)
        self._brought(path)
        if replaces is not None and self.request.overlay:
            os.setxattr(path, self.request.opaque_attribute, b"y")
        below = self._find_lower(path[1:]) if replaces is None else None
        if below is None or not stat.S_ISDIR(below[1].st_mode):
            os.chmod(path, 0o755)
            if self.request.records_owners:
                recorded_owner.record(path, Recorded(0, 0))
            return
        lower, like = below
        if self.request.records_owners and (owner := lower.owner(path[1:])):
            recorded_owner.record(path, owner)
        os.chown(path, like.st_uid, like.st_gid)
        os.chmod(path, stat.S_IMODE(like.st_mode))
        self._times[path] = int(like.st_mtime)
