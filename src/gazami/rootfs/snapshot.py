"""What a RUN changed, as a tar stream: read from an overlay's upper directory, or by a stat scan of a plain root.

Both run in the fork server's namespace and write to ``output_fd``. A step has had the files, so the process makes their directory
its own root first (:mod:`.inside`), and a file is read only if it is the very one that was listed. Standard library only.

A scan compares each file's stat with the one of the previous scan. The modes differ in what counts:

========  ==================================================  ===========================================================
``full``  device, inode, size, mtime, ctime, mode, uid, gid   nothing escapes it: ctime is the kernel's
``redo``  size, mtime, mode, uid, gid                         misses a change of same size whose mtime was put back
``time``  mtime                                               misses also chmod, chown and setxattr
========  ==================================================  ===========================================================
"""

from __future__ import annotations

import errno
import marshal
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from gazami.errors import ArchiveError, SandboxError
from gazami.layer import recorded_owner
from gazami.layer.entry import Entry, FileContent, Kind, Xattrs
from gazami.layer.recorded_owner import ATTRIBUTE, Recorded, decode
from gazami.layer.tar_writer import write_members
from gazami.layer.whiteout import OPAQUE, PREFIX
from gazami.rootfs import inside
from gazami.rootfs.lowers import Lower, open_lowers
from gazami.rootfs.requests import Owners, ScanRequest, UpperRequest
from gazami.values import fast_dataclass

Member = tuple[Entry, FileContent | None]
_KINDS = {
    stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.SYMLINK, stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK, stat.S_IFIFO: Kind.FIFO,
}  # fmt: skip


def upper(request: UpperRequest, output_fd: int) -> None:
    owners = None if request.owners is None else _Owners.of(request.owners)
    inside.enter(request.directory)
    with _explained():
        _write(_Upper(request, owners).members(), output_fd, request.newest)


def scan(request: ScanRequest, output_fd: int | None) -> None:
    listing = _Listing(request.listing)
    old = listing.load()
    owners = None if request.owners is None else _Owners.of(request.owners)
    scanner = _Scan(request, owners)
    inside.enter(request.directory)
    with _explained():
        new = scanner.stat_all()
        if output_fd is not None:
            _write(scanner.changed(old, new), output_fd, request.newest)
            if owners is not None and owners.noted:
                new = scanner.stat_all()
    listing.save(new)


_CHANGED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ESTALE, errno.ENODATA, errno.ERANGE)
"""What the calls of a scan answer about a file that is another one than a moment ago; the last two are of attributes."""


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what a step's files do to their reader into errors that name it."""
    try:
        yield
    except OSError as cause:
        if cause.errno == errno.ENAMETOOLONG:
            raise ArchiveError(f"the step made a path longer than Linux allows: {str(cause.filename)[:100]}…") from cause
        if cause.errno in _CHANGED:
            raise SandboxError(f"{cause.filename} changed during the snapshot") from cause
        raise


class _Listing:
    """The file that holds the last scan's records. Its folder is opened before this process enters the root."""

    def __init__(self, path: str) -> None:
        folder, _, self._name = path.rpartition("/")
        self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def load(self) -> dict[str, bytes]:
        try:
            fd = os.open(self._name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)
        except FileNotFoundError:
            return {}
        with open(fd, "rb") as file:
            loaded: dict[str, bytes] = marshal.loads(file.read())
        return loaded

    def save(self, records: dict[str, bytes]) -> None:
        part = f"{self._name}.part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(part, flags, 0o600, dir_fd=self._folder), "wb") as file:
            file.write(marshal.dumps(records))
        os.rename(part, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)


def _write(members: Iterator[Member], fd: int, newest: int | None) -> None:
    for chunk in write_members(members if newest is None else _clamped(members, newest)):
        view = memoryview(chunk)
        while view:
            view = view[os.write(fd, view) :]


def _clamped(members: Iterator[Member], newest: int) -> Iterator[Member]:
    for entry, content in members:
        entry.mtime = min(entry.mtime, newest)  # it was made for this one tar
        yield entry, content


@fast_dataclass(slots=True)
class _Owners:
    """:class:`Owners` at work; the lowers are opened before this process enters the root."""

    default: tuple[int, int]
    by_path: dict[str, tuple[int, int]]
    lowers: tuple[Lower, ...]
    noted: bool = False
    """Whether an attribute was written, which changes the file's ctime."""

    @classmethod
    def of(cls, known: Owners) -> _Owners:
        by_path = {path: (uid, gid) for path, uid, gid in known.by_path}
        return cls(known.default, by_path, open_lowers(known.lowers))

    def settle(self, entry: Entry, file: str) -> None:
        """Give an entry its owner, and note that for the file at ``file``: a later step's default is another."""
        known = next((decode(value) for name, value in entry.xattrs if name == ATTRIBUTE), None)
        owner = known or Recorded(*self.by_path.get(entry.path, self.default))
        if owner.as_seen:
            owner = self._replaced(entry.path) or Recorded(owner.uid, owner.gid, owner.device)
        if owner != known and entry.kind in (Kind.FILE, Kind.DIRECTORY):
            recorded_owner.record(file, owner)
            self.noted = True
        owner.apply(entry)
        entry.xattrs = tuple(each for each in entry.xattrs if each[0] != ATTRIBUTE)

    def _replaced(self, path: str) -> Recorded | None:
        """The owner of the file of a lower layer that a new one has replaced."""
        return next((owner for lower in self.lowers if (owner := lower.owner(path))), None)


def _entry(path: str, file: str, info: os.stat_result) -> Entry | None:
    kind = _KINDS.get(stat.S_IFMT(info.st_mode))
    if kind is None:  # a socket
        return None
    device = kind in (Kind.CHARACTER, Kind.BLOCK)
    return Entry(
        path,
        kind,
        stat.S_IMODE(info.st_mode),
        info.st_uid,
        info.st_gid,
        int(info.st_mtime // 1),
        info.st_size if kind is Kind.FILE else 0,
        os.readlink(file) if kind is Kind.SYMLINK else "",
        (os.major(info.st_rdev), os.minor(info.st_rdev)) if device else (0, 0),
        _xattrs(file),
    )


def _xattrs(file: str) -> Xattrs:
    try:
        names = os.listxattr(file, follow_symlinks=False)
    except OSError as cause:
        if cause.errno == errno.ENOTSUP:  # the file system has none
            return ()
        raise
    if not names:
        return ()
    return tuple(
        (name, os.getxattr(file, name, follow_symlinks=False))
        for name in sorted(names)
        if not name.startswith(("trusted.overlay.", "user.overlay.", "security.selinux", "system."))
    )


class _Links:
    """The first path of each inode that has several names."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, int], str] = {}

    def member(self, entry: Entry, file: str, info: os.stat_result) -> Member:
        if info.st_nlink > 1 and entry.kind is not Kind.DIRECTORY:
            first = self._first.setdefault((info.st_dev, info.st_ino), entry.path)
            if first != entry.path:
                entry.kind, entry.link, entry.size, entry.xattrs = Kind.HARDLINK, first, 0, ()
                return entry, None
        return entry, FileContent(file, identity=(info.st_dev, info.st_ino))


class _Upper:
    def __init__(self, request: UpperRequest, owners: _Owners | None) -> None:
        self._omit, self._ignore = frozenset(request.omit), request.ignore
        self._owners = owners
        self._links = _Links()

    def members(self) -> Iterator[Member]:
        todo = [("", iter(_sorted("/")))]
        while todo:
            base, items = todo[-1]
            item = next(items, None)
            if item is None:
                todo.pop()
                continue
            path = f"{base}/{item.name}" if base else item.name
            if path in self._omit or (self._ignore and _is_ignored(path, self._ignore)):
                continue
            info = item.stat(follow_symlinks=False)
            if stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:  # before any look at nlink: whiteouts share an inode
                name = f"{base}/{PREFIX}{item.name}" if base else PREFIX + item.name
                yield Entry(name, Kind.FILE, 0), None
                continue
            entry = _entry(path, item.path, info)
            if entry is None:
                continue
            if self._owners is not None:
                self._owners.settle(entry, item.path)
            yield self._links.member(entry, item.path, info)
            if entry.kind is Kind.DIRECTORY:
                if _is_opaque(item.path):
                    yield Entry(f"{path}/{OPAQUE}", Kind.FILE, 0), None
                todo.append((path, iter(_sorted(item.path))))


def _sorted(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda item: item.name)


def _is_opaque(file: str) -> bool:
    for name in ("trusted.overlay.opaque", "user.overlay.opaque"):
        try:
            if os.getxattr(file, name, follow_symlinks=False) == b"y":
                return True
        except OSError as cause:
            if cause.errno not in (errno.ENODATA, errno.ENOTSUP):
                raise
    return False


def _is_ignored(path: str, ignore: tuple[str, ...]) -> bool:
    return any(path == each or path.startswith(each + "/") for each in ignore)


class _Scan:
    """One walk over a plain root. What it finds is kept as one record of bytes for each directory: names and packed stat
    values in the order in which the directory lists them. Nearly all records are the same as last time, and comparing those is
    one comparison of bytes; only where a record differs its names are looked at one by one."""

    def __init__(self, request: ScanRequest, owners: _Owners | None) -> None:
        self._omit, self._ignore = frozenset(request.omit), request.ignore
        self._touched = frozenset(request.touched)
        self._owners = owners
        self._values = {"full": _full, "redo": _redo, "time": _time}[request.mode]

    def stat_all(self) -> dict[str, bytes]:
        """Directory to record, parents before what they hold."""
        out: dict[str, bytes] = {}
        device = os.lstat("/").st_dev
        stack = [("", "/")]
        values, pack, encode, ignore = self._values, _STAT.pack, os.fsencode, self._ignore
        while stack:
            base, folder = stack.pop()
            record: list[bytes] = []
            with os.scandir(folder) as found:
                for item in found:
                    if ignore and _is_ignored(f"{base}/{item.name}" if base else item.name, ignore):
                        continue
                    info = item.stat(follow_symlinks=False)
                    if info.st_dev != device:
                        continue
                    record += (encode(item.name), b"\0", pack(*values(info)))
                    if info.st_mode & _FORMAT == stat.S_IFDIR:
                        stack.append((f"{base}/{item.name}" if base else item.name, item.path))
            out[base] = b"".join(record)
        return out

    def changed(self, old: dict[str, bytes], new: dict[str, bytes]) -> Iterator[Member]:
        links = _Links()
        names: dict[str, str] = {}
        for folder, record in new.items():
            before = old.get(folder, b"")
            if record != before:
                self._compare(folder, _unpacked(before), _unpacked(record), names)
        for path in list(names):
            while "/" in path:
                path = path.rpartition("/")[0]
                names.setdefault(path, path)
        for name in sorted(names, key=lambda each: each.replace("/", "\0")):
            path = names[name]
            if not path:
                yield Entry(name, Kind.FILE, 0), None
                continue
            file = f"/{path}"
            info = os.lstat(file)
            entry = _entry(path, file, info)
            if entry is not None:
                if self._owners is not None:
                    self._owners.settle(entry, file)
                yield links.member(entry, file, info)

    def _compare(self, folder: str, old: dict[str, bytes], new: dict[str, bytes], names: dict[str, str]) -> None:
        """Add what one directory's change means: a name to write and the path it is of, empty for a deletion."""
        base = f"{folder}/" if folder else ""
        for name, values in new.items():
            before, path = old.get(name), base + name
            if before == values or path in self._omit:
                continue
            if path in self._touched and before is not None and before[:_CTIME] == values[:_CTIME]:
                continue
            names[path] = path
        for name in old:
            if name not in new and base + name not in self._omit:
                names[f"{base}{PREFIX}{name}"] = ""


_STAT = struct.Struct("<IIIQQqq")
_CTIME = _STAT.size - 8
"""Where the ctime begins in a record's packed values."""
_FORMAT = 0o170000


def _unpacked(record: bytes) -> dict[str, bytes]:
    """Name to packed values."""
    out: dict[str, bytes] = {}
    at = 0
    while at < len(record):
        end = record.index(b"\0", at)
        out[os.fsdecode(record[at:end])] = record[end + 1 : end + 1 + _STAT.size]
        at = end + 1 + _STAT.size
    return out


def _full(info: os.stat_result) -> tuple[int, ...]:
    """Mode, owner, inode, size and both times; a directory's size says nothing."""
    directory = info.st_mode & _FORMAT == stat.S_IFDIR
    return (
        info.st_mode, info.st_uid, info.st_gid, info.st_ino, 0 if directory else info.st_size, info.st_mtime_ns, info.st_ctime_ns,
    )  # fmt: skip


def _redo(info: os.stat_result) -> tuple[int, ...]:
    size = 0 if info.st_mode & _FORMAT == stat.S_IFDIR else info.st_size
    return info.st_mode, info.st_uid, info.st_gid, 0, size, info.st_mtime_ns, 0


def _time(info: os.stat_result) -> tuple[int, ...]:
    return info.st_mode & _FORMAT, 0, 0, 0, 0, info.st_mtime_ns, 0
