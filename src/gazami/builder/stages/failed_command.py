"""A RUN that failed → an error with the cause by name and what to do next. Pure.

What is known for sure comes first (the time limit, the kernel's count of killed processes, a full file system), then what the
command printed together with what the root's files say, then the status.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from gazami.errors import CommandFailed, UserError
from gazami.plan.steps import RunStep
from gazami.sandbox.spec import RunResult, Unrunnable
from gazami.values import fast_dataclass

TAIL = 8 * 1024
"""Bytes of a command's last output that are looked at."""

_SHOWN = 300
_SIGNALS = {
    signal.SIGSEGV: "segmentation fault", signal.SIGABRT: "aborted", signal.SIGILL: "illegal instruction",
    signal.SIGBUS: "bus error", signal.SIGFPE: "arithmetic error", signal.SIGKILL: "killed", signal.SIGTERM: "terminated",
    signal.SIGINT: "interrupted", signal.SIGHUP: "hangup", signal.SIGQUIT: "quit", signal.SIGPIPE: "broken pipe",
    signal.SIGXCPU: "CPU time limit", signal.SIGXFSZ: "file size limit", signal.SIGSYS: "bad system call",
}  # fmt: skip
_UNRUNNABLE = {
    "crlf": (
        "the first line of {path} ends in CR LF, so the system looks for {what}\\r",
        "save the file with LF line ends: dos2unix, or *.sh text eol=lf in .gitattributes",
    ),
    "interpreter": ("{path} asks for the interpreter {what}, which the image lacks", "install it in an earlier step"),
    "loader": (
        "{path} needs the loader {what}, which the image lacks",
        "the program was built for another C library (glibc or musl): link it statically, or take a base that has it",
    ),
    "machine": (
        "{path} is a program for {what}, which this machine does not run (exec format error)",
        "copy the program for this platform, or build with --platform on a machine of the other",
    ),
    "mode": ("{path} is not executable", "RUN chmod +x it in an earlier step, or COPY --chmod=755"),
}
"""What is said of a file by the kind of :class:`Unrunnable`."""

_COMPLAINTS = re.compile(
    r"not found|no such file|exec format error|cannot execute|bad interpreter|permission denied|syntax error|unexpected",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[^\s:'\"`]+")
_NO_PROGRAM = re.compile(r'^exec: "(?P<path>[^"]+)": (?:stat|executable file not found)', re.MULTILINE)
_NOT_FOUND = re.compile(r"^(?:.*: )?(?P<name>[^\s:/]+): (?:command )?not found$", re.MULTILINE)
_DENIED = re.compile(r"Permission denied\s*\Z", re.IGNORECASE)
_SHEBANG = re.compile(r"#![ \t]*(\S+)")
_READ_ONLY = re.compile(r"(?P<path>/[^\s:'\"’]*)[^\n/]*: Read-only file system")
_HINTS = (
    (
        re.compile(r"^(?:.*: )?Killed$|Killed signal terminated program|signal: 9|SIGKILL", re.MULTILINE),
        "a process of the command was killed, most often for lack of memory: raise the container's memory limit",
    ),
    (
        re.compile(r"^E: Unable to locate package", re.MULTILINE),
        "run apt-get update in the same RUN: RUN apt-get update && apt-get install -y …",
    ),
    (
        re.compile(r"Temporary failure (?:in name resolution|resolving)|Could not resolve host|bad address '", re.IGNORECASE),
        "the step cannot resolve names: check the network and the proxy of this machine (--build-arg HTTP_PROXY=…), and --network",
    ),
    (
        re.compile(r"certificate verify failed|self.signed certificate|unable to get local issuer", re.IGNORECASE),
        "the image does not trust the server's certificate: COPY your authority's into the image, or install ca-certificates",
    ),
)
"""What programs print, and what to do then."""


@fast_dataclass(frozen=True, slots=True)
class Surroundings:
    """What the machine says of a command that failed. ``timeout`` is the limit in seconds, ``memory`` the control group's limit in
    words, ``full`` a file system without room and how much it has; empty while there is some."""

    timeout: float | None = None
    memory: str = ""
    full: str = ""


def failed_command(step: RunStep, result: RunResult, printed: bytes, around: Surroundings) -> CommandFailed:
    """``printed`` is the end of the command's output."""
    command = " ".join(" ".join(step.argv).split())
    short = command if len(command) <= _SHOWN else command[: _SHOWN - 3] + "..."
    cause, hint = _cause(step, result, printed.decode("utf-8", "replace"), around)
    message = f'process "{short}" did not complete successfully: exit code: {result.exit_code}'
    error = CommandFailed(message, exit_code=result.exit_code, hint=hint or None)
    if cause:
        error.__cause__ = UserError(cause)
    return error


def _cause(step: RunStep, result: RunResult, printed: str, around: Surroundings) -> tuple[str, str]:
    if result.timed_out:
        cause = f"timed out after {around.timeout:g} s" if around.timeout else "timed out"
        return cause, "raise --timeout, or find out what the command waits for"
    if result.oom_killed:
        limit = f" ({around.memory})" if around.memory else ""
        remedy = "raise the container's memory limit, or let the command do less at the same time"
        return f"a process was killed: out of memory{limit}", remedy
    if around.full:
        return f"no space left: {around.full}", "free some space, or give a larger place with --state-dir"
    if (script := step.script) is not None and "/dev/pipes/" in printed and (match := _SHEBANG.match(script.content)):
        return f"the here-document asks for the interpreter {match[1]}, which the image lacks", "install it in an earlier step"
    if suspect := _suspect(result.unrunnable, printed):
        cause, remedy = _UNRUNNABLE[suspect.kind]
        return cause.format(path=suspect.path, what=suspect.what), remedy
    return _by_output(step, printed) or _by_status(result.exit_code)


def _suspect(found: Sequence[Unrunnable], printed: str) -> Unrunnable | None:
    """The file that the command's own last words name."""
    lines = [line for line in printed.splitlines()[-10:] if _COMPLAINTS.search(line)]
    return next((each for each in found if each.kind in _UNRUNNABLE and any(_names(line, each) for line in lines)), None)


def _names(line: str, suspect: Unrunnable) -> bool:
    """Whether a line speaks of a file: by its path, by the end of it, or by its name alone."""
    words = (word.removeprefix("./") for word in _WORDS.findall(line))
    return any(word == suspect.path or suspect.path.endswith(f"/{word}") for word in words)


def _by_output(step: RunStep, printed: str) -> tuple[str, str] | None:
    if match := _NO_PROGRAM.search(printed):
        return _without_program(step, match["path"])
    if match := _READ_ONLY.search(printed):
        return _read_only(step, match["path"])
    if "No space left on device" in printed and "/dev/shm" in printed:
        return "no space left in /dev/shm", "raise --shm-size"
    if (found := _NOT_FOUND.findall(printed)) and printed.rstrip().endswith("not found"):
        if found[-1].startswith("["):
            return "", 'single quotes are not JSON: write RUN ["program", "argument"], or no brackets for a command of the shell'
        return "", f"the image has no {found[-1]} in its PATH: install it in an earlier step, or check the spelling"
    if _DENIED.search(printed) and step.user not in ("", "root", "0"):
        remedy = "write USER root before it and the user again after it, or chown the files in an earlier step"
        return "", f"the step runs as user {step.user}: {remedy}"
    hint = next((hint for pattern, hint in _HINTS if pattern.search(printed)), None)
    return None if hint is None else ("", hint)


def _without_program(step: RunStep, path: str) -> tuple[str, str]:
    if path != step.argv[0] or len(step.argv) < 3 or not path.endswith("sh"):
        return "", f"the image has no {path}: install it in an earlier step, or check the spelling"
    remedy = 'write RUN ["program", "argument"], which needs no shell, or begin with an image that has one'
    if path != "/bin/sh":
        remedy = f"install {path} in a step before SHELL, or leave SHELL out"
    return f"the image has no shell {path}", remedy


def _read_only(step: RunStep, path: str) -> tuple[str, str]:
    for each in step.mounts:
        target = each.mount.target
        if target and (path == target or path.startswith(f"{target.rstrip('/')}/")):
            remedy = "write elsewhere, or mount with rw: what is written there is thrown away after the step"
            if each.mount.type == "cache":
                remedy = "leave ro out of the mount"
            return f"{path} lies in a read-only mount (type={each.mount.type}, target={target})", remedy
    if path.startswith(("/proc", "/sys")):
        return f"{path} is a setting of the kernel, which is read-only for a build", "set it where the image runs"
    return f"{path} is read-only in this step", ""


def _by_status(status: int) -> tuple[str, str]:
    if status == 126:
        return "", "126 usually means that the file is there and this user cannot execute it: chmod +x, or USER"
    if status == 127:
        return "", "check that the image has the command: 127 usually means that it was not found"
    if not 128 < status <= 128 + 64:
        return "", ""
    try:
        number = signal.Signals(status - 128)
    except ValueError:
        return f"signal {status - 128} ended the process", ""
    cause = f"{number.name} ended the process ({_SIGNALS.get(number, 'signal ' + str(int(number)))})"
    hint = "most often for lack of memory: raise the container's memory limit" if number == signal.SIGKILL else ""
    return cause, hint
