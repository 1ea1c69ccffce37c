"""The container's own ``/``, lent to one command after the other (the ``inplace`` mode).

Theory of operation. Where nothing may be mounted, only ``/`` has a /proc, a /sys and a whole /dev. So while a command runs, and no
longer, the top-level entries of its root are moved to ``/`` by rename(2), and those of the container are moved out of
their way into the folder ``found``; afterwards both go back. A rename costs the same for a file and for a tree, the unpacked
root is an ordinary directory whenever no command runs, and the container's root is always as it was found.

What cannot be moved stays: top-level mount points (/proc, /sys, /dev, volumes) and the entries that hold the builder, its state and
its context. Mount points further down (/etc/resolv.conf, /var/run/secrets/…) are moved together with the directory that they
are in. A root that has files of its own where something must stay cannot be lent; the caller runs that command in another mode.

Two files let the next build undo what a killed one began: ``root`` names the lent root as long as anything is moved, and
``lent`` exists from the moment when the container's entries are all out of the way. The build that has the root holds a third file,
``lock``: another build in the same container, and a probe, leave the root alone. Standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from gazami.errors import SandboxError
from gazami.sandbox.inside import volume_writes
from gazami.sandbox.inside.moving import move
from gazami.sandbox.kernel.capabilities import Capability, has
from gazami.sandbox.kernel.mountinfo import mount_of, mount_points
from gazami.sandbox.spec import Choice, RunSpec
from gazami.values import fast_dataclass

OWN = frozenset({"kaniko", "busybox"})
"""The top-level directories of gazami's image: everything of the builder, and the shell of the debug variant."""
MARKER = "/kaniko/.builder-image"
SYSTEM = frozenset({"usr", "lib", "lib32", "lib64", "sbin", "boot", "opt", "srv"})
"""Entries of a root in which a system is installed: it is not gazami's image, or somebody has built upon that."""
RESOLVER = (("/kaniko/resolv.c", "/etc/resolv.conf"), ("/kaniko/ho", "/etc/hosts"))
"""What the C library of gazami's image reads instead of the container's files, which it links to."""
_KERNELS = frozenset({"proc", "sys", "dev"})
_NEEDED = (Capability.CHOWN, Capability.DAC_OVERRIDE, Capability.FOWNER, Capability.SETGID, Capability.SETUID)


@fast_dataclass(frozen=True, slots=True)
class ContainerRoot:
    """``top`` is ``/`` (another directory in tests), ``folder`` a directory of ours below it on the same file system, ``keep``
    the names of top-level entries that are not to be moved besides the mount points."""

    folder: str
    keep: frozenset[str]
    top: str = "/"
    own: tuple[str, ...] = ()
    """Absolute paths that the builder itself writes while commands run: state, caches, outputs."""

    @classmethod
    def of(cls, choice: Choice) -> ContainerRoot:
        """The root that commands of a mode share with the container."""
        return cls(choice.folder, frozenset(choice.keep), own=choice.own)

    def path(self, name: str) -> str:
        return f"{self.top.rstrip('/')}/{name}"

    @property
    def found(self) -> str:
        return f"{self.folder}/found"

    def of_container(self, path: str) -> str:
        """The path of a file of the container while the root is lent."""
        aside = f"{self.found}{path}"
        return aside if os.path.exists(aside) else self.path(path[1:])

    def stays(self) -> frozenset[str]:
        """The names of the top-level entries that are not moved, as it is before anything is."""
        there = frozenset(name for name in self.keep if os.path.lexists(self.path(name)))
        return there | _top_level(mount_points(), self.top)


def reserve(container: ContainerRoot) -> int:
    """Take the container's root for this process and its children, until the descriptor that is returned is closed by all of
    them. What a killed build left is undone first. Raises BlockingIOError when another build has the root."""
    os.makedirs(container.folder, 0o700, exist_ok=True)
    lock = os.open(f"{container.folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        give_back(container)
    except OSError:
        os.close(lock)
        raise
    return lock


def _top_level(paths: Collection[str], top: str) -> frozenset[str]:
    below = top.rstrip("/") + "/"
    names = (path.removeprefix(below) for path in paths if path.startswith(below))
    return frozenset(name for name in names if name and "/" not in name)


def obstacle(root: str, spec: RunSpec, container: ContainerRoot) -> str:
    """Why a root cannot be lent: the path of an entry of its own, or of one that the command names, where something of the
    container must stay; empty when nothing is in the way."""
    stays = container.stays() - _KERNELS
    for name in sorted(stays):
        if not _is_empty(f"{root}/{name}"):
            return f"/{name}"
    name = volume_writes.named(spec, stays)
    return f"/{name}" if name else ""


def volumes(container: ContainerRoot) -> list[str]:
    """The paths of what stays and is neither the kernel's nor the builder's."""
    return [container.path(name) for name in sorted(container.stays() - _KERNELS - OWN)]


def _is_empty(path: str) -> bool:
    """Whether nothing is lost when ``path`` is not seen: it is absent or an empty directory."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode) and not os.listdir(path)
    except FileNotFoundError:
        return True


def lend(root: str, container: ContainerRoot) -> None:
    """Move the entries of ``root`` to the top. Raises SandboxError, with everything where it was, when that cannot be."""
    os.makedirs(container.found, 0o700, exist_ok=True)
    info, stays = os.stat(container.top), container.stays()
    mode = stat.S_IMODE(info.st_mode)
    state = {"root": root, "mode": mode, "uid": info.st_uid, "gid": info.st_gid, "stays": sorted(stays)}
    _write(f"{container.folder}/root", json.dumps(state))
    try:
        _keep_resolver(container)
        for name in sorted(set(os.listdir(container.top)) - stays):
            move(container.path(name), f"{container.found}/{name}")
        _write(f"{container.folder}/lent", "")
        for name in sorted(set(os.listdir(root)) - stays):
            move(f"{root}/{name}", container.path(name))
        like = os.stat(root)
        os.chown(container.top, like.st_uid, like.st_gid)
        os.chmod(container.top, stat.S_IMODE(like.st_mode))
    except OSError as error:
        give_back(container)
        where = error.filename or ""
        raise SandboxError(f"the container's root cannot be lent to the command: {where}: {error.strerror}") from None


def give_back(container: ContainerRoot) -> None:
    """Move what is at the top into the lent root, and the container's own entries to the top; does nothing when nothing is
    lent. A root that is gone (its build was killed) loses what it lent.

    Raises OSError; calling it again goes on where it stopped.
    """
    state = _state(container)
    if state is None:
        return
    if os.path.exists(f"{container.folder}/lent"):
        root = state["root"]
        orphaned = not os.path.isdir(root)
        if orphaned:
            root = f"{container.folder}/orphan"
            os.makedirs(root, 0o700, exist_ok=True)
        for name in sorted(set(os.listdir(container.top)) - set(state["stays"])):
            move(container.path(name), f"{root}/{name}")
        if orphaned:
            shutil.rmtree(root, ignore_errors=True)
        os.unlink(f"{container.folder}/lent")
    for name in sorted(os.listdir(container.found)):
        move(f"{container.found}/{name}", container.path(name))
    os.chown(container.top, state["uid"], state["gid"])
    os.chmod(container.top, state["mode"])
    _link_resolver(container)
    os.unlink(f"{container.folder}/root")
    with suppress(OSError):
        os.rmdir(container.found)


def _keep_resolver(container: ContainerRoot) -> None:
    """Let the builder's own look-ups go on by copies of the container's files while the command has ``/``."""
    for own, name in RESOLVER:
        own = container.path(own[1:])
        if os.path.islink(own):
            try:
                with open(container.path(name[1:]), "rb") as file:
                    data = file.read(1 << 20)
            except OSError:
                data = b""
            with open(f"{own}.part", "wb") as file:
                file.write(data)
            os.rename(f"{own}.part", own)


def _link_resolver(container: ContainerRoot) -> None:
    for own, name in RESOLVER:
        own = container.path(own[1:])
        if os.path.isfile(own) and not os.path.islink(own):
            os.symlink(name, f"{own}.part")
            os.rename(f"{own}.part", own)


def change_times(container: ContainerRoot) -> dict[str, int]:
    """The ctime of each entry of the lent root, in nanoseconds: a rename sets it, so one that differs later is the command's
    doing."""
    names = set(os.listdir(container.top)) - set((_state(container) or {}).get("stays", ()))
    return {name: os.lstat(container.path(name)).st_ctime_ns for name in names}


def why_not(container: ContainerRoot, *, force: bool, in_container: bool, prefixes: Collection[str], capabilities: int) -> str:
    """The reason against this mode here, or nothing; raises as :func:`reserve`. ``prefixes`` are where this Python lies,
    ``capabilities`` the effective ones as bits. ``force`` passes over the marker, the container and the entries of the root,
    never over what it needs."""
    if os.geteuid() != 0:
        return "not root"
    missing = [each.name for each in _NEEDED if not has(capabilities, each)]
    if missing:
        return f"the capabilities {', '.join(missing)} are missing"
    stays = container.stays()  # what is kept is there, whether or not a killed build has yet to be undone
    for prefix in prefixes:
        if prefix.strip("/").split("/", 1)[0] not in stays:
            return f"gazami's own Python is in {prefix}, which would be moved away: only for gazami's image"
    if not force:
        if not os.path.exists(MARKER):
            return f"this is not gazami's image ({MARKER} is missing); --force passes over this"
        if not in_container:
            return "this does not look like a container; --force passes over this"
    if mount_of(os.path.realpath(container.folder), mount_points()) != mount_of(container.top, mount_points()):
        return f"{container.folder} is on another mount than /"
    lock = reserve(container)
    try:
        foreign = sorted(set(os.listdir(container.top)) & SYSTEM - stays)
        if foreign and not force:
            return f"/ holds a system of its own ({', '.join(foreign)}); --force passes over this"
        return _cannot_move(container, container.stays())
    finally:
        os.close(lock)


def _cannot_move(container: ContainerRoot, stays: frozenset[str]) -> str:
    """Try every rename, there and back."""
    os.makedirs(container.found, 0o700, exist_ok=True)
    for name in sorted(set(os.listdir(container.top)) - stays):
        try:
            move(container.path(name), f"{container.found}/{name}")
            move(f"{container.found}/{name}", container.path(name))
        except OSError as error:
            return f"/{name} cannot be moved out of the way: {error.strerror}"
    probe = container.path(".gazami-probe")
    try:
        os.mkdir(f"{container.folder}/probe")
        os.rename(f"{container.folder}/probe", probe)
        os.rmdir(probe)
    except OSError as error:
        with suppress(OSError):
            os.rmdir(f"{container.folder}/probe")
        return f"nothing can be moved to /: {error.strerror}"
    return ""


def _state(container: ContainerRoot) -> dict[str, Any] | None:
    try:
        with open(f"{container.folder}/root", encoding="utf-8") as file:
            loaded: dict[str, Any] = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return loaded


def _write(path: str, text: str) -> None:
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(f"{path}.part", path)
