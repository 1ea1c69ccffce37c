"""From a process of the server's to the command: give up privileges and descriptors, then exec.

The order matters. The bounding set and the seccomp filter need capabilities that the next steps take away. The ids are set after
the filter, which allows that. The program is searched last, with the permissions of the command.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
from typing import NoReturn

from gazami.sandbox.inside.accounts import Account
from gazami.sandbox.kernel import linux
from gazami.sandbox.kernel.capabilities import Capability, has
from gazami.sandbox.spec import RunSpec
from gazami.values import fast_dataclass

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_FOUND, NOT_EXECUTABLE = 127, 126
_TIOCSCTTY = 0x540E
"""Make a terminal the controlling one (ioctl_tty(2)); ``termios`` has it, and cannot be imported from the root of a step."""
REPORTS = 3
"""The descriptor on which a process of the step reports to the handler."""


@fast_dataclass(frozen=True, slots=True)
class SeccompFilter:
    """A program. ``no_new_privileges``: it can only be loaded by a process that gives up set-user-ID programs."""

    program: bytes
    no_new_privileges: bool


def environment(spec: RunSpec, account: Account) -> dict[str, str]:
    """Exactly the spec's variables, and HOME from passwd when it is missing or empty. A base's Env may hold ``=x``: a variable
    without a name cannot be read by anybody, and is left out."""
    variables = {name: value for name, value in spec.env if name}
    if not variables.get("HOME"):
        variables["HOME"] = account.home
    return variables


def become(
    spec: RunSpec,
    account: Account,
    filter_: SeccompFilter | None,
    keep: frozenset[Capability],
    *,
    pid_namespace: bool,
    on_terminal: bool = False,
) -> NoReturn:
    """Turn this process into the command. A PID namespace ends it with the init process; where there is none, the kernel signals
    it.

    Raises OSError when the process cannot be set up. A program that cannot be run is named on the command's own stderr, with the
    status 126 or 127.
    """
    os.setsid()
    if on_terminal:
        fcntl.ioctl(0, _TIOCSCTTY, 0)  # keys like Ctrl-C are signals to this session's processes then
    linux.close_from(REPORTS + 1)
    _reset_signals()
    permitted = _drop_bounding(keep)
    if filter_ is not None:
        if filter_.no_new_privileges:
            linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.load_seccomp(filter_.program)
    _hand_over_output(account)
    for name, soft, hard in spec.limits:
        resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (soft, hard))
    if has(linux.get_capabilities()[0], Capability.SETGID):
        os.setgroups(account.groups)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    if account.uid == 0:
        linux.set_capabilities(permitted)
    if not pid_namespace:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.umask(0o022)
    _execute(spec.argv, environment(spec, account))


def arrange_descriptors(output: tuple[int, int], reports: int, *, on_terminal: bool = False) -> None:
    """0 from /dev/null, or the terminal that the output is; 1 and 2 the output, 3 the reports (closed on exec); nothing else stays
    open."""
    stdout, stderr, reports = (_above(fd) for fd in (*output, reports))
    stdin = stdout if on_terminal else _above(os.open(os.devnull, os.O_RDONLY))
    for fd, number in ((stdin, 0), (stdout, 1), (stderr, 2)):
        os.dup2(fd, number, inheritable=True)
    os.dup2(reports, REPORTS, inheritable=False)
    linux.close_from(REPORTS + 1)


def _above(fd: int) -> int:
    """``fd`` or a duplicate of it, above the numbers that are about to be replaced."""
    while fd <= REPORTS:
        fd = os.dup(fd)
    return fd


def _reset_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _drop_bounding(keep: frozenset[Capability]) -> int:
    """Take all but ``keep`` out of the bounding set; returns what is left of the permitted capabilities as bits."""
    wanted = sum(1 << number for number in keep)
    may_drop = has(linux.get_capabilities()[0], Capability.SETPCAP)
    for number in range(64):
        try:
            held = linux.prctl(linux.PR_CAPBSET_READ, number)
        except OSError:
            break
        if held and may_drop and number not in keep:
            linux.prctl(linux.PR_CAPBSET_DROP, number)
    return linux.get_capabilities()[1] & wanted


def _hand_over_output(account: Account) -> None:
    """Let the user open /dev/stdout and /dev/stderr again, as runc does."""
    for fd in (1, 2):
        try:
            os.fchown(fd, account.uid, -1)
        except OSError:
            continue


def _execute(argv: tuple[str, ...], variables: dict[str, str]) -> NoReturn:
    name = argv[0]
    program = name if "/" in name else _search(name, variables.get("PATH", _DEFAULT_PATH))
    if program is None:
        _refuse(f'exec: "{name}": executable file not found in $PATH', NOT_FOUND)
    try:
        os.execve(program, argv, variables)
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        if missing and not os.path.exists(program):
            _refuse(f'exec: "{name}": stat {name}: {(error.strerror or "").lower()}', NOT_FOUND)
        if missing:
            _refuse(f'exec: "{name}": no such file or directory (its interpreter or loader is missing)', NOT_FOUND)
        _refuse(f'exec: "{name}": {(error.strerror or "").lower()}', NOT_EXECUTABLE)


def _search(name: str, path: str) -> str | None:
    for directory in path.split(":"):
        candidate = f"{directory or '.'}/{name}"
        if name and os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    return None


def _refuse(message: str, status: int) -> NoReturn:
    os.write(2, f"{message}\n".encode(errors="replace"))
    os._exit(status)
