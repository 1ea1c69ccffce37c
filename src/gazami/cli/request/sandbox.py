"""What RUN steps get: secrets, agents, hosts, limits, volumes; and where temporary files are."""

from __future__ import annotations

import os
from typing import Literal

from gazami.builder.request import FileExport, Limits, SandboxOptions, Volume, Volumes
from gazami.cli.environ import Surroundings
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.docker import NETWORK
from gazami.cli.flags.kinds import SecretSpec
from gazami.cli.flags.options import (
    ADD_HOST,
    EXPOSE_MOUNTS,
    FORCE,
    ISOLATION,
    ON_FAILURE,
    SECRET,
    SHM_SIZE,
    SSH,
    STATE_DIR,
    TIMEOUT,
    ULIMIT,
    VOLUME,
)
from gazami.cli.paths import absolute
from gazami.errors import UsageError

_STATE_VOLUME = "/kaniko/state"
"""Where the manifests have a volume for the state."""

_NO_TARGETS = frozenset({"", "proc", "sys", "dev", "kaniko"})
"""Top-level names that are the kernel's or the builder's; the root is empty."""

_LIMITS = ("as", "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "stack")


def sandbox_options(flags: Flags, around: Surroundings) -> SandboxOptions:
    """Raises :class:`UsageError` for a secret or an agent that the environment lacks, and for a malformed host or limit."""
    isolation = flags[ISOLATION]
    return SandboxOptions(
        state_dir=state_dir(flags[STATE_DIR], around),
        memory=not flags[STATE_DIR],
        isolation=isolation if isolation != "default" and isolation else None,
        force=flags[FORCE],
        in_container=around.in_container,
        secrets=tuple(_secret(spec, around) for spec in flags[SECRET]),
        ssh=tuple(_agent(word, around) for word in flags[SSH]),
        add_hosts=tuple(_host(word) for word in flags[ADD_HOST]),
        limits=Limits(flags[TIMEOUT], flags[SHM_SIZE], tuple(_ulimit(word) for word in flags[ULIMIT])),
        network="none" if flags[NETWORK] == "none" else "default",
        volumes=_volumes(flags, around),
        failed=_failed(flags, around.cwd),
    )


def _failed(flags: Flags, cwd: str) -> FileExport | Literal["shell"] | None:
    text = flags[ON_FAILURE]
    kind, _, place = text.partition(":")
    if not text:
        return None
    if text == "shell":
        return "shell"
    if kind not in ("tar", "dir") or place in ("", "-"):
        raise UsageError(
            f"{flags.spelling(ON_FAILURE)}={text} is not tar:FILE, dir:FOLDER or shell",
            hint="for example: --on-failure=tar:failed.tar",
        )
    return FileExport("tar" if kind == "tar" else "local", absolute(place, cwd))


def state_dir(given: str, around: Surroundings) -> str:
    """An absolute path: the given one (``--state-dir``, ``GAZAMI_STATE_DIR``), a volume at ``/kaniko/state``, else a folder of ours
    in the first of ``XDG_CACHE_HOME``, ``TMPDIR``, ``~/.cache`` and ``/tmp`` that is not on a read-only file system, as a
    container's root may be."""
    environ, own = around.environ, f"gazami-{around.uid}"
    if given:
        return absolute(given, around.cwd)
    if os.path.ismount(_STATE_VOLUME) and not _is_readonly(_STATE_VOLUME):
        return _STATE_VOLUME
    places = []
    if environ.get("XDG_CACHE_HOME", "").startswith("/"):
        places.append(f"{environ['XDG_CACHE_HOME'].rstrip('/')}/gazami")
    if temporary := environ.get("TMPDIR"):
        places.append(f"{absolute(temporary, around.cwd).rstrip('/')}/{own}")
    if around.home:
        places.append(f"{around.home.rstrip('/')}/.cache/gazami")
    places.append(f"/tmp/{own}")
    return next((place for place in places if not _is_readonly(place)), places[0])


def _is_readonly(place: str) -> bool:
    """Whether a path is on a file system that nobody can write to."""
    while not os.path.exists(place):
        place = os.path.dirname(place)
    return bool(os.statvfs(place).f_flag & os.ST_RDONLY)


def _volumes(flags: Flags, around: Surroundings) -> Volumes:
    if flags[EXPOSE_MOUNTS] and not around.in_container:
        raise UsageError(
            "--expose-mounts is for a container's volumes, and this does not look like a container",
            hint="name what RUN is to see: --volume SRC:DST:ro",
        )
    return Volumes(tuple(_volume(word, around.cwd) for word in flags[VOLUME]), flags[EXPOSE_MOUNTS])


def _volume(word: str, cwd: str) -> Volume:
    """``SRC:DST[:ro|rw]``."""
    source, _, rest = word.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target.startswith("/") or mode not in ("", "ro", "rw"):
        hint = "write SRC:DST, SRC:DST:ro or SRC:DST:rw; DST is an absolute path in the image"
        raise UsageError(f"invalid value {word!r} for --volume", hint=hint)
    target = os.path.normpath("/" + target.lstrip("/"))
    if target.split("/")[1] in _NO_TARGETS:
        raise UsageError(f"--volume {word}: nothing can be put at {target}", hint="choose a directory of its own, such as /cache")
    return Volume(absolute(source, cwd), target, mode == "ro")


def _secret(spec: SecretSpec, around: Surroundings) -> tuple[str, str, str]:
    """``(id, "file" | "env", path or value)``. With only an id: the variable of that name if it exists, else the file."""
    environ = around.environ
    kind = spec.type or ("env" if spec.id in environ else "file")
    if kind == "file":
        return spec.id, "file", absolute(spec.src or spec.id, around.cwd)
    variable = spec.env or spec.id
    if variable not in environ:
        hint = f"export {variable}, or take the secret from a file: --secret id={spec.id},src=PATH"
        raise UsageError(f"--secret: the environment has no variable {variable} for the secret {spec.id!r}", hint=hint)
    return spec.id, "env", environ[variable]


def _agent(word: str, around: Surroundings) -> tuple[str, str]:
    """``default``, ``ID`` or ``ID=SOCKET`` → ``(ID, socket)``. Raises :class:`UsageError` when there is no agent."""
    identity, _, socket = word.partition("=")
    socket = absolute(socket or around.environ.get("SSH_AUTH_SOCK", ""), around.cwd)
    if not socket:
        raise UsageError(f"--ssh {word}: no agent is running (SSH_AUTH_SOCK is not set)", hint="name one: --ssh ID=SOCKET")
    return identity or "default", socket


def _ulimit(word: str) -> tuple[str, int, int]:
    """``name=soft[:hard]``; ``-1`` and ``unlimited`` are no limit."""
    name, _, values = word.partition("=")
    soft, _, hard = values.partition(":")
    try:
        numbers = [-1 if each == "unlimited" else int(each) for each in (soft, hard or soft)]
    except ValueError:
        numbers = []
    if name.lower() not in _LIMITS or not numbers or min(numbers) < -1:
        hint = f"write NAME=SOFT[:HARD], where NAME is one of {', '.join(_LIMITS)}"
        raise UsageError(f"invalid value {word!r} for --ulimit", hint=hint)
    return name.lower(), numbers[0], numbers[1]


def _host(word: str) -> tuple[str, str]:
    """``name:address`` (or ``name=address``) → ``(address, name)``, the order of /etc/hosts."""
    import ipaddress

    name, _, address = word.partition("=" if "=" in word else ":")
    address = address.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        hint = "write NAME:ADDRESS, for example db:10.0.0.7 or db:[fd00::7]"
        raise UsageError(f"invalid value {word!r} for --add-host", hint=hint) from error
    if not name or name.split() != [name]:
        raise UsageError(f"invalid value {word!r} for --add-host: it has no host name")
    return address, name
