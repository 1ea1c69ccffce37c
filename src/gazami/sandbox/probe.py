"""What works here, found out by doing it: a program that tries each mode in a child of its own and prints what happened.

No rule about kernels, containers or security modules is as good as the attempt, so each child makes the namespaces,
mounts an overlay in the real state directory, removes and makes a directory in it (without ``userxattr`` this is what
fails in some user namespaces although the mount succeeds), and mounts /proc. Its mounts die with it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from typing import Any

from gazami.errors import SandboxError
from gazami.layer import recorded_owner
from gazami.layer.beneath import remove_tree
from gazami.layer.recorded_owner import Recorded
from gazami.sandbox.inside import devices, inplace, step_mounts
from gazami.sandbox.inside.inplace import Ground
from gazami.sandbox.kernel import linux, namespaces, notify


def main() -> None:
    """``argv[1]``: the request of :func:`.select.survey`. Prints findings as JSON, unless ``all`` up to the first good one."""
    request = json.loads(sys.argv[1])
    findings = []
    for mode in request["modes"]:
        attempt = _try_in_place if mode == "inplace" else _attempt
        findings.append(attempt(mode, request))
        if findings[-1]["ok"] and not request["all"]:
            break
    sys.stdout.write(json.dumps(findings))
    sys.stdout.flush()


def _try_in_place(mode: str, request: dict[str, Any]) -> dict[str, Any]:
    """The container's root can be lent: our own place is on its file system, and everything in it can be moved."""
    finding: dict[str, Any] = {"mode": mode, "ok": False}
    state_dir = request["lasting"]
    try:
        near = inplace.mount_of(os.path.realpath(state_dir), inplace.mount_points()) == "/"
        place = f"{state_dir}/inplace" if near else "/kaniko/tmp/inplace"
        ground = Ground(place, frozenset(request["keep"]))
        reason = inplace.why_not(
            ground,
            force=request["force"],
            in_container=request["in_container"],
            prefixes=request["prefixes"],
            capabilities=linux.get_capabilities()[0],
        )
    except BlockingIOError:
        reason = "another build has this container's root"
    except OSError as error:
        reason = f"{error.filename or state_dir}: {error.strerror}"
    if reason:
        return {**finding, "reason": reason}
    notes = ["RUN steps share this container with the builder"]
    return {
        **finding, "ok": True, "reason": "root in gazami's own container", "overlay": False, "notes": notes, "place": place,
        "keep": sorted(ground.keep), "device_cgroup": devices.are_guarded(place),
    }  # fmt: skip


def _attempt(mode: str, request: dict[str, Any]) -> dict[str, Any]:
    """One mode, tried in a child with a directory of its own in the state directory."""
    state_dir = request["state_dir"]
    read, write = os.pipe()
    try:
        place = tempfile.mkdtemp(prefix="probe-", dir=state_dir)
    except OSError as error:
        return {"mode": mode, "ok": False, "reason": f"{state_dir}: {error.strerror}"}
    child = os.fork()
    if child == 0:
        try:
            finding = _probe(mode, place)
        except SandboxError as error:
            finding = {"ok": False, "reason": error.message}
        except Exception as error:
            finding = {"ok": False, "reason": f"{type(error).__name__}: {error}"}
        finally:
            os.write(write, json.dumps({"mode": mode, **finding}).encode())
            os._exit(0)
    os.close(write)
    with open(read, "rb") as answers:
        answer = answers.read()
    os.waitpid(child, 0)
    shutil.rmtree(place, ignore_errors=True)
    if not answer:
        return {"mode": mode, "ok": False, "reason": "the probe was killed"}
    found: dict[str, Any] = json.loads(answer)
    return found


def _probe(mode: str, place: str) -> dict[str, Any]:
    match mode:
        case "namespaces":
            try:
                namespaces.enter_mount_namespace()
            except OSError as error:
                raise SandboxError(
                    f"mount namespaces are refused: {error.strerror} (CAP_SYS_ADMIN is needed)"
                ) from None
            return {"ok": True, "reason": "root with CAP_SYS_ADMIN", **_capabilities(place, (False, True))}
        case "userns":
            ids = namespaces.own_ids()
            if ids == "identity" and namespaces.number_of_ids() < 2:
                raise SandboxError("there is only one user id here")
            namespaces.enter_user_namespace(ids)
            try:
                namespaces.enter_mount_namespace()
            except OSError as error:
                raise SandboxError(f"mounts in a user namespace are refused: {error.strerror}") from None
            source = "the own user ids" if ids == "identity" else "the subordinate ids of /etc/subuid"
            found = _capabilities(place, (True,))
            return {"ok": True, "reason": f"a user namespace with {source}", "ids": ids, **found}
        case "userns-single":
            return _try_one_id(place)
        case "chroot":
            if os.geteuid() != 0:
                raise SandboxError("not root")
            guarded = devices.are_guarded(place)
            pid_namespace = _can_have_pid_namespace()
            try:
                os.chroot(place)
            except OSError as error:
                raise SandboxError(f"chroot is refused: {error.strerror} (CAP_SYS_CHROOT is needed)") from None
            return {
                "ok": True, "reason": "root with CAP_SYS_CHROOT", "overlay": False, "notes": ["RUN steps have no /proc"],
                "device_cgroup": guarded, "pid_namespace": pid_namespace,
            }  # fmt: skip
    raise SandboxError(f"unknown mode {mode}")


def _try_one_id(place: str) -> dict[str, Any]:
    """A user namespace with one id, a file's attribute, and the filter that hands changes of owner over."""
    namespaces.enter_with_one_id(0, 0)
    try:
        namespaces.enter_mount_namespace()
    except OSError as error:
        raise SandboxError(f"mounts in a user namespace are refused: {error.strerror}") from None
    try:
        recorded_owner.record(place, Recorded(1, 1))
    except OSError as error:
        raise SandboxError(f"the state directory has no user attributes: {error.strerror}") from None
    program = notify.filter_program(linux.MACHINE)
    if program is None:
        raise SandboxError(f"there is no table of system calls for {linux.MACHINE}")
    found = _capabilities(place, (True,), owner=0)
    try:
        os.close(linux.load_seccomp_listener(program))
    except OSError as error:
        raise SandboxError(f"seccomp notifications are refused: {error.strerror}") from None
    notes = [*found["notes"], "owners of files are recorded, and shown as root inside"]
    return {**found, "ok": True, "reason": "a user namespace with one id", "ids": "single", "notes": notes}


def _capabilities(place: str, ways: tuple[bool, ...], owner: int = 1) -> dict[str, Any]:
    """What can be had in the mount namespace just entered. ``ways`` are the values of userxattr to try, ``owner`` is an id that
    files can have."""
    notes: list[str] = []
    overlay, userxattr = False, ways[-1]
    for way in ways:
        try:
            _try_overlay(f"{place}/{way}", owner, userxattr=way)
        except OSError as error:
            notes = [f"no overlay, layers are copied: {error.strerror or error}"]
            continue
        notes, overlay, userxattr = [], True, way
        break
    if not overlay:
        _try_bind(place)
    pid_namespace = _try_proc(place)
    if not pid_namespace:
        notes.append("no PID namespace: RUN steps see the processes of this container")
    return {"overlay": overlay, "userxattr": userxattr, "pid_namespace": pid_namespace, "notes": notes}


def _try_overlay(place: str, owner: int, *, userxattr: bool) -> None:
    for name in ("low/d", "up", "work"):
        os.makedirs(f"{place}/{name}")
    with open(f"{place}/low/d/file", "w", encoding="ascii"):
        pass
    try:
        step_mounts.mount_overlay((f"{place}/low",), f"{place}/up", f"{place}/work", userxattr=userxattr)
        try:
            os.unlink(f"{place}/up/d/file")
            os.rmdir(f"{place}/up/d")
            os.mkdir(f"{place}/up/d")
            with open(f"{place}/up/d/other", "w", encoding="ascii"):
                pass
            os.chown(f"{place}/up/d/other", owner, owner)
        finally:
            linux.umount(f"{place}/up", linux.MNT_DETACH)
    finally:
        with suppress(OSError):
            for name in os.listdir(place):
                remove_tree(f"{place}/{name}")


def _try_bind(place: str) -> None:
    try:
        step_mounts.bind(place, place)
        linux.umount(place, linux.MNT_DETACH)
    except OSError as error:
        raise SandboxError(f"mounts are refused: {error.strerror}") from None


def _can_have_pid_namespace() -> bool:
    """Whether commands without a /proc can have a PID namespace, which ends them all with its first process."""
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(OSError):
            linux.unshare(linux.CLONE_NEWPID)
            status = 0
        os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def _try_proc(place: str) -> bool:
    """Whether a PID namespace can have a /proc of its own (not where a container runtime masks parts of /proc)."""
    try:
        linux.unshare(linux.CLONE_NEWPID)
        child = os.fork()
    except OSError:
        return False
    if child == 0:
        status = 1
        with suppress(OSError):
            linux.unshare(linux.CLONE_NEWNS)
            linux.mount("proc", place, "proc", 0)
            status = 0
        os._exit(status)
    return os.waitpid(child, 0)[1] == 0
