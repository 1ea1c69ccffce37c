"""What RUN steps get: secrets, agents, hosts, limits; and where temporary files are. Pure."""

from __future__ import annotations

from gazami.builder.request import SandboxOptions
from gazami.cli.environ import Surroundings
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.docker import NETWORK
from gazami.cli.flags.kinds import SecretSpec
from gazami.cli.flags.options import ADD_HOST, FORCE, ISOLATION, SECRET, SHM_SIZE, SSH, STATE_DIR, TIMEOUT, ULIMIT
from gazami.cli.paths import absolute
from gazami.errors import UsageError

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
        timeout=flags[TIMEOUT],
        shm_size=flags[SHM_SIZE],
        ulimits=tuple(_ulimit(word) for word in flags[ULIMIT]),
        network="none" if flags[NETWORK] == "none" else "default",
    )


def state_dir(given: str, around: Surroundings) -> str:
    """An absolute path: the given one (``--state-dir``, ``GAZAMI_STATE_DIR``), else a folder of ours in the first of
    ``XDG_CACHE_HOME``, ``TMPDIR``, ``~/.cache`` and ``/tmp`` that is usable."""
    environ, own = around.environ, f"gazami-{around.uid}"
    if given:
        return absolute(given, around.cwd)
    if environ.get("XDG_CACHE_HOME", "").startswith("/"):
        return f"{environ['XDG_CACHE_HOME'].rstrip('/')}/gazami"
    if temporary := environ.get("TMPDIR"):
        return f"{absolute(temporary, around.cwd).rstrip('/')}/{own}"
    return f"{around.home.rstrip('/')}/.cache/gazami" if around.home else f"/tmp/{own}"


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
