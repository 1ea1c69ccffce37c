"""The attempts that find out whether a mode works: what :attr:`.modes.Mode.probe` names.

Each makes the namespaces, mounts an overlay in the real state directory, removes and makes a directory in it (without
``userxattr`` this is what fails in some user namespaces although the mount succeeds), and mounts /proc. It runs in a process of
its own, which ends afterwards. A probe raises SandboxError with the reason against its mode. Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from gazami.errors import SandboxError
from gazami.layer import recorded_owner
from gazami.layer.beneath import remove_tree
from gazami.layer.recorded_owner import Recorded
from gazami.sandbox.inside import devices, inplace, overlay
from gazami.sandbox.inside.inplace import ContainerRoot
from gazami.sandbox.kernel import linux, mountinfo, namespaces, notify
from gazami.sandbox.kernel.mounts import bind
from gazami.sandbox.kernel.namespaces import Ids
from gazami.sandbox.spec import Choice, ProbeRequest


def try_mount_namespace(mode: str, request: ProbeRequest, directory: str) -> Choice:
    """Mounts without a user namespace."""
    try:
        namespaces.enter_mount_namespace()
    except OSError as error:
        raise SandboxError(f"mount namespaces are refused: {error.strerror} (CAP_SYS_ADMIN is needed)") from None
    return _mounting(mode, "root with CAP_SYS_ADMIN", directory, ways=(False, True))


def try_user_namespace(mode: str, request: ProbeRequest, directory: str) -> Choice:
    """A user namespace with all ids, or with a user's subordinate ones."""
    ids = namespaces.own_ids()
    if ids == "identity" and namespaces.number_of_ids() < 2:
        raise SandboxError("there is only one user id here")
    namespaces.enter_user_namespace(ids)
    _enter_mount_namespace()
    source = "the own user ids" if ids == "identity" else "the subordinate ids of /etc/subuid"
    return _mounting(mode, f"a user namespace with {source}", directory, ids=ids)


def try_one_id(mode: str, request: ProbeRequest, directory: str) -> Choice:
    """A user namespace with one id, a file's attribute, and the filter that hands changes of owner over."""
    namespaces.enter_with_one_id(0, 0)
    _enter_mount_namespace()
    try:
        recorded_owner.record(directory, Recorded(1, 1))
    except OSError as error:
        raise SandboxError(f"the state directory has no user attributes: {error.strerror}") from None
    program = notify.filter_program(linux.MACHINE)
    if program is None:
        raise SandboxError(f"there is no table of system calls for {linux.MACHINE}")
    note = "owners of files are recorded, and shown as root inside"
    choice = _mounting(mode, "a user namespace with one id", directory, ids="single", owner=0, note=note)
    try:
        os.close(linux.load_seccomp_listener(program))
    except OSError as error:
        raise SandboxError(f"seccomp notifications are refused: {error.strerror}") from None
    return choice


def try_chroot(mode: str, request: ProbeRequest, directory: str) -> Choice:
    """chroot(2) alone."""
    if os.geteuid() != 0:
        raise SandboxError("not root")
    guarded = devices.are_guarded(directory)
    pid_namespace = _can_have_pid_namespace()
    try:
        os.chroot(directory)
    except OSError as error:
        raise SandboxError(f"chroot is refused: {error.strerror} (CAP_SYS_CHROOT is needed)") from None
    reason = "root with CAP_SYS_CHROOT; RUN steps have no /proc"
    return Choice(mode, reason, overlay=False, pid_namespace=pid_namespace, device_cgroup=guarded)


def try_in_place(mode: str, request: ProbeRequest, directory: str) -> Choice:
    """The container's root can be lent: our own folder is on its file system, and everything in it can be moved."""
    state_dir = request.lasting
    try:
        near = mountinfo.mount_of(os.path.realpath(state_dir), mountinfo.mount_points()) == "/"
        folder = f"{state_dir}/inplace" if near else "/kaniko/tmp/inplace"
        container = ContainerRoot(folder, frozenset(request.keep))
        reason = inplace.why_not(
            container,
            force=request.force,
            in_container=request.in_container,
            prefixes=request.prefixes,
            capabilities=linux.get_capabilities()[0],
        )
    except BlockingIOError:
        reason = "another build has this container's root"
    except OSError as error:
        reason = f"{error.filename or state_dir}: {error.strerror}"
    if reason:
        raise SandboxError(reason)
    return Choice(
        mode,
        "root in gazami's own container; RUN steps share this container with the builder",
        overlay=False,
        pid_namespace=False,
        place=folder,
        keep=request.keep,
        device_cgroup=devices.are_guarded(folder),
    )


def _enter_mount_namespace() -> None:
    try:
        namespaces.enter_mount_namespace()
    except OSError as error:
        raise SandboxError(f"mounts in a user namespace are refused: {error.strerror}") from None


def _mounting(
    mode: str,
    reason: str,
    directory: str,
    *,
    ways: tuple[bool, ...] = (True,),
    ids: Ids | Literal[""] = "",
    owner: int = 1,
    note: str = "",
) -> Choice:
    """The choice with what works in the mount namespace just entered. ``ways`` are the values of userxattr to try, ``owner`` is an
    id that files can have."""
    failure, userxattr = "", ways[-1]
    for way in ways:
        try:
            _try_overlay(f"{directory}/{way}", owner, userxattr=way)
        except OSError as error:
            failure = f"no overlay, layers are copied: {error.strerror or error}"
            continue
        failure, userxattr = "", way
        break
    if failure:
        _try_bind(directory)
    pid_namespace = _try_proc(directory)
    shared = "" if pid_namespace else "no PID namespace: RUN steps see the processes of this container"
    told = "; ".join(filter(None, (reason, failure, shared, note)))
    return Choice(mode, told, overlay=not failure, userxattr=userxattr, pid_namespace=pid_namespace, ids=ids)


def _try_overlay(directory: str, owner: int, *, userxattr: bool) -> None:
    for name in ("low/d", "up", "work"):
        os.makedirs(f"{directory}/{name}")
    with open(f"{directory}/low/d/file", "w", encoding="ascii"):
        pass
    try:
        overlay.mount((f"{directory}/low",), f"{directory}/up", f"{directory}/work", userxattr=userxattr)
        try:
            os.unlink(f"{directory}/up/d/file")
            os.rmdir(f"{directory}/up/d")
            os.mkdir(f"{directory}/up/d")
            with open(f"{directory}/up/d/other", "w", encoding="ascii"):
                pass
            os.chown(f"{directory}/up/d/other", owner, owner)
        finally:
            linux.umount(f"{directory}/up", linux.MNT_DETACH)
    finally:
        with suppress(OSError):
            for name in os.listdir(directory):
                remove_tree(f"{directory}/{name}")


def _try_bind(directory: str) -> None:
    try:
        bind(directory, directory)
        linux.umount(directory, linux.MNT_DETACH)
    except OSError as error:
        raise SandboxError(f"mounts are refused: {error.strerror}") from None


def _can_have_pid_namespace() -> bool:
    """Whether commands without a /proc can have a PID namespace, which ends them all with its first process."""
    return _works_in_a_child(lambda: linux.unshare(linux.CLONE_NEWPID))


def _try_proc(directory: str) -> bool:
    """Whether a PID namespace can have a /proc of its own (not where a container runtime masks parts of /proc)."""

    def mount() -> None:
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("proc", directory, "proc", 0)

    with suppress(OSError):
        linux.unshare(linux.CLONE_NEWPID)
        return _works_in_a_child(mount)
    return False


def _works_in_a_child(attempt: Callable[[], None]) -> bool:
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(OSError):
            attempt()
            status = 0
        os._exit(status)
    return os.waitpid(child, 0)[1] == 0
