"""What the machine ran out of, or may not be done there: an error of the system → one that names the resource and the place.

A path has a role (context, output, state, cache, secret), and each role another remedy: a context that cannot be read is mended in
the context, a full disk by space. What ran out is told with how much there was, since the limit is often not where people look:
that of a control group, of a user, of a file system's inodes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from gazami.errors import ContextError, GazamiError, HostError, SpaceError
from gazami.values import fast_dataclass

if TYPE_CHECKING:
    from gazami.builder.request import BuildRequest

Role = Literal["context", "output", "state", "cache", "secret"]

_ROLES: dict[Role, tuple[str, str]] = {
    "secret": ("the secret", "make the file readable for this user, or give the secret with env="),
    "output": ("the output", "give a place that this user may write to"),
    "cache": ("the cache", "make it readable and writable for this user, or give another directory"),
    "state": ("the state directory", "give one of this user's own with --state-dir"),
    "context": ("the build context", "make it readable for this user, or exclude it in .dockerignore"),
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@fast_dataclass(frozen=True, slots=True)
class Places:
    """Directories and files of a build with their roles, those that lie in others first; ``state`` is where unnamed files lie."""

    of: tuple[tuple[Role, str], ...] = ()
    state: str = ""

    def role(self, path: str) -> Role | None:
        found = [(len(place), role) for role, place in self.of if path == place or path.startswith(f"{place.rstrip('/')}/")]
        return max(found)[1] if found else None


def places_of(request: BuildRequest) -> Places:
    """The places that a request names."""
    state = request.sandbox.state_dir
    caches = (request.cache.directory, request.cache.repository.removeprefix("oci:"))
    contexts = (request.context.context.removeprefix("dir://"), *(value for _, value in request.context.named))
    found: list[tuple[Role, str]] = [("secret", value) for _, kind, value in request.sandbox.secrets if kind == "file"]
    found += [("output", each) for each in request.output.paths]
    failed = request.sandbox.failed_files
    found += [("output", failed.dest)] if failed is not None else []
    found += [("cache", each) for each in caches]
    found += [("state", state)]
    found += [("context", each) for each in contexts]
    return Places(tuple((role, place) for role, place in found if place.startswith("/")), state)


def host_error(error: BaseException, places: Places = Places()) -> GazamiError | None:  # noqa: B008
    """What to tell of an error that the machine is the cause of, None for any other."""
    if isinstance(error, MemoryError):
        return _memory()
    if isinstance(error, ImportError) and ("failed to map segment" in str(error) or "allocate memory" in str(error)):
        return _memory()
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return _processes("a thread")
    if not isinstance(error, OSError) or error.errno is None:
        return None
    path = str(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) and error.filename else ""
    if error.errno in _FULL:
        return _full(error, path, places)
    if error.errno in _FORBIDDEN:
        return _forbidden(error, path, places)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return _descriptors(error.errno)
    if error.errno == errno.ENOMEM:
        return _memory()
    if isinstance(error, BlockingIOError):  # fork(2) says so; sockets and locks are asked again where they are used
        return _processes("a process")
    return None


def exhausted(error: GazamiError, places: Places) -> GazamiError:
    """The error itself, or what the machine ran out of where that is behind it: a registry was not out of reach then."""
    if isinstance(error, HostError):
        return _completed(error, places)
    for cause in _causes(error):
        scarce = isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, *_FULL)
        if (scarce or isinstance(cause, MemoryError | RuntimeError)) and (found := host_error(cause, places)):
            found.at(error.span, error.source)
            return found
    return error


def _completed(error: HostError, places: Places) -> HostError:
    """With what is free and what to do, where a disk was full and nobody said so yet."""
    cause = error.__cause__
    if error.hint or not isinstance(cause, OSError) or cause.errno not in _FULL:
        return error
    named = (place for _, place in places.of if place and place in error.message)
    where = str(cause.filename or max(named, key=len, default=places.state))
    error.message += _largest() if cause.errno == errno.EFBIG else _free(where)
    error.hint = _full(cause, where, places).hint
    return error


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo: list[BaseException | None] = [error.__cause__, *(each for each in error.args if isinstance(each, BaseException))]
    while todo:
        cause = todo.pop()
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        todo += [cause.__cause__, cause.__context__, getattr(cause, "reason", None)]
        todo = [each for each in todo if isinstance(each, BaseException)]


# -- each resource ----------------------------------------------------------------------------------------------------


def _full(error: OSError, path: str, places: Places) -> SpaceError:
    role = places.role(path) if path else "state"
    where = path or places.state
    name = f"{_ROLES[role][0]} {where}" if role else where or "a file"
    text = f"{error.strerror or os.strerror(error.errno or 0)}: {name}"
    if error.errno == errno.EFBIG:
        hint = "raise the limit of file sizes (ulimit -f), or choose a file system for large files"
        return SpaceError(text + _largest(), hint=hint)
    here = role in ("state", None)
    hint = "free some space, or give a larger place with --state-dir" if here else "free some space there"
    return SpaceError(text + _free(where), hint=hint)


def _largest() -> str:
    limit = _limit(resource.RLIMIT_FSIZE)
    return f" (limit {_bytes(limit)})" if limit is not None else ""


def _free(path: str) -> str:
    """What the file system of a path has left, in words; what the build has cleaned up by now is free again."""
    while path and path != "/" and not os.path.exists(path):
        path = os.path.dirname(path)
    with contextlib.suppress(OSError):
        info = os.statvfs(path or "/")
        room = f"{_bytes(info.f_bavail * info.f_frsize)} of {_bytes(info.f_blocks * info.f_frsize)}"
        inodes = f" and {info.f_favail} of {info.f_files} inodes" if info.f_files else ""
        return f" ({room}{inodes} are free now)"
    return ""


def _forbidden(error: OSError, path: str, places: Places) -> GazamiError:
    role = places.role(path) if path else None
    reason = error.strerror or os.strerror(error.errno or 0)
    if role is None:
        text = f"{reason}: {path}" if path else reason
        return HostError(text, hint=f"user {os.geteuid()} may not do that here: check the owner and the mode of the file")
    name, hint = _ROLES[role]
    kind = ContextError if role == "context" else HostError
    text = f"{name}: {path}: {reason}"
    return kind(text, hint="the file system is mounted read-only" if error.errno == errno.EROFS else hint)


def _descriptors(number: int) -> HostError:
    if number == errno.ENFILE:
        return HostError("the machine has no more open files", hint="raise fs.file-max, or run less at the same time")
    limit = _limit(resource.RLIMIT_NOFILE)
    return HostError(f"out of file descriptors: this process may have {limit}", hint="raise the limit: ulimit -n 4096")


def _processes(what: str) -> HostError:
    """No thread and no process can be started, or no memory for its stack can be had."""
    limits = []
    if (limit := _limit(resource.RLIMIT_NPROC)) is not None:
        limits.append(f"user {os.geteuid()} may have {limit} (ulimit -u)")
    if (limit := group_number("pids.max", "pids/pids.max")) is not None:
        used = group_number("pids.current", "pids/pids.current")
        limits.append(f"the control group {limit}" + (f", {used} are there" if used is not None else ""))
    if (limit := _limit(resource.RLIMIT_AS)) is not None:
        limits.append(f"the address space has {_bytes(limit)} (ulimit -v)")
    known = f": {'; '.join(limits)}" if limits else ""
    return HostError(
        f"cannot start {what}: no more processes or threads{known}",
        hint="raise the limit of processes (ulimit -u, pids.max; for a pod podPidsLimit), or run less at the same time",
    )


def _memory() -> HostError:
    limits = []
    if (limit := _limit(resource.RLIMIT_AS)) is not None:
        limits.append(f"address space {_bytes(limit)} (ulimit -v)")
    if (limit := group_number("memory.max", "memory/memory.limit_in_bytes")) is not None and limit < 1 << 60:
        limits.append(f"control group {_bytes(limit)}")
    with contextlib.suppress(OSError, ValueError, IndexError):
        line = next(each for each in _text("/proc/meminfo").splitlines() if each.startswith("MemAvailable:"))
        limits.append(f"{_bytes(int(line.split()[1]) * 1024)} of the machine available")
    known = f" ({', '.join(limits)})" if limits else ""
    return HostError(f"out of memory{known}", hint="give the build more memory, or put --state-dir on a disk instead of tmpfs")


def _limit(kind: int) -> int | None:
    soft = resource.getrlimit(kind)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def group_number(*names: str) -> int | None:
    """A number of this process's control group, None without one."""
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            return int(_text(f"/sys/fs/cgroup/{name}"))
    return None


def _text(path: str) -> str:
    with open(path) as file:
        return file.read()


def _bytes(count: int | None) -> str:
    from gazami.report.units import size

    return size(count or 0)
