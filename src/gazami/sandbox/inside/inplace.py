"""The container's own ``/``, lent to one command after the other (the ``inplace`` mode).

Theory of operation. Where nothing may be mounted, only ``/`` has a /proc, a /sys and a whole /dev. So while a command runs, and no
longer, the top-level entries of its root are moved to ``/`` by rename(2), and those of the container are moved out of
their way into the folder ``found``; afterwards both go back. A rename costs the same for a file and for a tree, the unpacked
root is an ordinary directory whenever no command runs, and the container's root is always as it was found.

What cannot be moved stays: top-level mount points (/proc, /sys, /dev, volumes) and the entries that hold the builder, its state and
its context. Mount points further down (/etc/resolv.conf, /var/run/secrets/…) go aside together with the directory that they
are in. A root that has files of its own where something must stay cannot be lent; the caller runs that command otherwise.

Two files make a killed builder's work undone by the next one: ``root`` names the lent root as long as anything is moved, and
``lent`` exists from the moment when the container's entries are all out of the way. A third, ``lock``, is held by the build that
has the root: another one in the same container, or a look at what works there, keeps its hands off. Standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gazami.errors import SandboxError
from gazami.sandbox.inside import volume_writes
from gazami.sandbox.inside.moving import move
from gazami.sandbox.kernel.mountinfo import mounts
from gazami.sandbox.spec import RunSpec

OWN = frozenset({"kaniko", "busybox"})
"""The top-level directories of gazami's image: everything of the builder, and the shell of the debug variant."""
MARKER = "/kaniko/.builder-image"
SYSTEM = frozenset({"usr", "lib", "lib32", "lib64", "sbin", "boot", "opt", "srv"})
"""Entries of a root in which a system is installed: it is not gazami's image, or somebody has built upon that."""
RESOLVER = (("/kaniko/resolv.c", "/etc/resolv.conf"), ("/kaniko/ho", "/etc/hosts"))
"""What the C library of gazami's image reads instead of the container's files, which it links to."""
_KERNELS = frozenset({"proc", "sys", "dev"})
_NEEDED = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "SETGID": 6, "SETUID": 7}


@dataclass(frozen=True, slots=True)
class Ground:
    """``top`` is ``/`` (another directory in tests), ``place`` a directory of ours below it on the same file system, ``keep``
    the names of top-level entries that are not to be moved besides the mount points."""

    place: str
    keep: frozenset[str]
    top: str = "/"
    own: tuple[str, ...] = ()
    """Absolute paths of what the builder itself writes meanwhile: state, caches, outputs."""

    def path(self, name: str) -> str:
        return f"{self.top.rstrip('/')}/{name}"

    @property
    def found(self) -> str:
        return f"{self.place}/found"

    def of_container(self, path: str) -> str:
        """Where a file of the container is to be found while the root is lent."""
        aside = f"{self.found}{path}"
        return aside if os.path.exists(aside) else self.path(path[1:])

    def stays(self) -> frozenset[str]:
        """The names of the top-level entries that are not moved, as it is before anything is."""
        there = frozenset(name for name in self.keep if os.path.lexists(self.path(name)))
        return there | _top_level(mount_points(), self.top)


def reserve(ground: Ground) -> int:
    """Take the container's root for this process and its children, until the descriptor that is returned is closed by all of
    them. What a killed build left is undone first. Raises BlockingIOError when another build has the root."""
    os.makedirs(ground.place, 0o700, exist_ok=True)
    lock = os.open(f"{ground.place}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        give_back(ground)
    except OSError:
        os.close(lock)
        raise
    return lock


def mount_points() -> list[str]:
    """The absolute paths at which something is mounted."""
    return [mount.point for mount in mounts()]


def mount_of(path: str, points: Collection[str]) -> str:
    """The mount point that an absolute path without links is on. Nothing is renamed from one mount to another, even if both
    are of the same file system."""
    return max((point for point in points if f"{path}/".startswith(f"{point.rstrip('/')}/")), key=len, default="/")


def _top_level(paths: Collection[str], top: str) -> frozenset[str]:
    below = top.rstrip("/") + "/"
    names = (path.removeprefix(below) for path in paths if path.startswith(below))
    return frozenset(name for name in names if name and "/" not in name)


def obstacle(root: str, spec: RunSpec, ground: Ground) -> str:
    """Why a root cannot be lent: the path of an entry of its own, or of one that the command names, where something of the
    container must stay; empty when nothing is in the way."""
    stays = ground.stays() - _KERNELS
    for name in sorted(stays):
        if not _is_empty(f"{root}/{name}"):
            return f"/{name}"
    name = volume_writes.named(spec, stays)
    return f"/{name}" if name else ""


def volumes(ground: Ground) -> list[str]:
    """The paths of what stays and is neither the kernel's nor the builder's."""
    return [ground.path(name) for name in sorted(ground.stays() - _KERNELS - OWN)]


def _is_empty(path: str) -> bool:
    """Whether nothing is lost when ``path`` is not seen: it is absent or an empty directory."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode) and not os.listdir(path)
    except FileNotFoundError:
        return True


def lend(root: str, ground: Ground) -> None:
    """Move the entries of ``root`` to the top. Raises SandboxError, with everything where it was, when that cannot be."""
    os.makedirs(ground.found, 0o700, exist_ok=True)
    info, stays = os.stat(ground.top), ground.stays()
    mode = stat.S_IMODE(info.st_mode)
    state = {"root": root, "mode": mode, "uid": info.st_uid, "gid": info.st_gid, "stays": sorted(stays)}
    _write(f"{ground.place}/root", json.dumps(state))
    try:
        _keep_resolver(ground)
        for name in sorted(set(os.listdir(ground.top)) - stays):
            move(ground.path(name), f"{ground.found}/{name}")
        _write(f"{ground.place}/lent", "")
        for name in sorted(set(os.listdir(root)) - stays):
            move(f"{root}/{name}", ground.path(name))
        like = os.stat(root)
        os.chown(ground.top, like.st_uid, like.st_gid)
        os.chmod(ground.top, stat.S_IMODE(like.st_mode))
    except OSError as error:
        give_back(ground)
        where = error.filename or ""
        raise SandboxError(f"the container's root cannot be lent to the command: {where}: {error.strerror}") from None


def give_back(ground: Ground) -> None:
    """Move what is at the top into the lent root, and the container's own entries to the top; does nothing when nothing is
    lent. A root that is gone (its build was killed) loses what it lent.

    Raises OSError; calling it again goes on where it stopped.
    """
    state = _state(ground)
    if state is None:
        return
    if os.path.exists(f"{ground.place}/lent"):
        root = state["root"]
        orphaned = not os.path.isdir(root)
        if orphaned:
            root = f"{ground.place}/orphan"
            os.makedirs(root, 0o700, exist_ok=True)
        for name in sorted(set(os.listdir(ground.top)) - set(state["stays"])):
            move(ground.path(name), f"{root}/{name}")
        if orphaned:
            shutil.rmtree(root, ignore_errors=True)
        os.unlink(f"{ground.place}/lent")
    for name in sorted(os.listdir(ground.found)):
        move(f"{ground.found}/{name}", ground.path(name))
    os.chown(ground.top, state["uid"], state["gid"])
    os.chmod(ground.top, state["mode"])
    _link_resolver(ground)
    os.unlink(f"{ground.place}/root")
    with suppress(OSError):
        os.rmdir(ground.found)


def _keep_resolver(ground: Ground) -> None:
    """Let the builder's own look-ups go on by copies of the container's files while the command has ``/``."""
    for own, name in RESOLVER:
        own = ground.path(own[1:])
        if os.path.islink(own):
            try:
                with open(ground.path(name[1:]), "rb") as file:
                    data = file.read(1 << 20)
            except OSError:
                data = b""
            with open(f"{own}.part", "wb") as file:
                file.write(data)
            os.rename(f"{own}.part", own)


def _link_resolver(ground: Ground) -> None:
    for own, name in RESOLVER:
        own = ground.path(own[1:])
        if os.path.isfile(own) and not os.path.islink(own):
            os.symlink(name, f"{own}.part")
            os.rename(f"{own}.part", own)


def change_times(ground: Ground) -> dict[str, int]:
    """The ctime of each entry of the lent root, in nanoseconds: a rename sets it, so one that differs later is the command's
    doing."""
    names = set(os.listdir(ground.top)) - set((_state(ground) or {}).get("stays", ()))
    return {name: os.lstat(ground.path(name)).st_ctime_ns for name in names}


def why_not(ground: Ground, *, force: bool, in_container: bool, prefixes: Collection[str], capabilities: int) -> str:
    """The reason against this mode here, or nothing; raises as :func:`reserve`. ``prefixes`` are where this Python lies,
    ``capabilities`` the effective ones as bits. ``force`` passes over the marker, the container and the entries of the root,
    never over what it needs."""
    if os.geteuid() != 0:
        return "not root"
    missing = [name for name, number in _NEEDED.items() if not capabilities >> number & 1]
    if missing:
        return f"the capabilities {', '.join(missing)} are missing"
    stays = ground.stays()  # what is kept is there, whether or not a killed build has yet to be undone
    for prefix in prefixes:
        if prefix.strip("/").split("/", 1)[0] not in stays:
            return f"gazami's own Python is in {prefix}, which would be moved away: only for gazami's image"
    if not force:
        if not os.path.exists(MARKER):
            return f"this is not gazami's image ({MARKER} is missing); --force passes over this"
        if not in_container:
            return "this does not look like a container; --force passes over this"
    if mount_of(os.path.realpath(ground.place), mount_points()) != mount_of(ground.top, mount_points()):
        return f"{ground.place} is on another mount than /"
    lock = reserve(ground)
    try:
        foreign = sorted(set(os.listdir(ground.top)) & SYSTEM - stays)
        if foreign and not force:
            return f"/ holds a system of its own ({', '.join(foreign)}); --force passes over this"
        return _cannot_move(ground, ground.stays())
    finally:
        os.close(lock)


def _cannot_move(ground: Ground, stays: frozenset[str]) -> str:
    """Try every rename, there and back."""
    os.makedirs(ground.found, 0o700, exist_ok=True)
    for name in sorted(set(os.listdir(ground.top)) - stays):
        try:
            move(ground.path(name), f"{ground.found}/{name}")
            move(f"{ground.found}/{name}", ground.path(name))
        except OSError as error:
            return f"/{name} cannot be moved out of the way: {error.strerror}"
    probe = ground.path(".gazami-probe")
    try:
        os.mkdir(f"{ground.place}/probe")
        os.rename(f"{ground.place}/probe", probe)
        os.rmdir(probe)
    except OSError as error:
        with suppress(OSError):
            os.rmdir(f"{ground.place}/probe")
        return f"nothing can be moved to /: {error.strerror}"
    return ""


def _state(ground: Ground) -> dict[str, Any] | None:
    try:
        with open(f"{ground.place}/root", encoding="utf-8") as file:
            loaded: dict[str, Any] = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return loaded


def _write(path: str, text: str) -> None:
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(f"{path}.part", path)
