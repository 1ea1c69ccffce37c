"""What ``gazami doctor`` looks at besides isolation: a value for each, with what to do where it is not well."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gazami.cli.environ import Surroundings
from gazami.cli.exhaustion import group_number
from gazami.values import fast_dataclass

if TYPE_CHECKING:
    from gazami.image.reference import Reference
    from gazami.registry.client import RegistryClient

_NONE = "none for this registry"

State = Literal["ok", "warn", "fail"]

_SMALL = 2 << 30
"""Bytes of space, and of memory, below which an ordinary build is likely to fail."""

_SKEW = 60.0
"""Seconds that the clock may differ: tokens and signatures of clouds allow a few minutes."""


@fast_dataclass(frozen=True, slots=True)
class Check:
    """``fix`` is a command or a line of configuration; empty where there is nothing to do."""

    name: str
    state: State
    text: str
    fix: str = ""


def machine_checks(place: Path, around: Surroundings) -> Iterator[Check]:
    """The state directory, memory, name servers and proxies of this process."""
    yield _space(place)
    yield _memory()
    yield _resolver()
    yield _proxy(around)


def _space(place: Path) -> Check:
    from gazami.report.units import size

    info = os.statvfs(place)
    free = info.f_bavail * info.f_frsize
    text = f"{place}: {size(free)} free"
    if info.f_files and info.f_favail < 100_000:
        return Check("space", "warn", f"{text}, {info.f_favail} inodes", "remove small files there, or --state-dir elsewhere")
    fix = "free some space (gazami state du), or give a larger place with --state-dir"
    return Check("space", "ok" if free >= _SMALL else "warn", text, "" if free >= _SMALL else fix)


def _memory() -> Check:
    from gazami.report.units import size

    limit = group_number("memory.max", "memory/memory.limit_in_bytes")
    if limit is None or limit >= 1 << 60:
        return Check("memory", "ok", "no limit of a control group")
    small = limit < _SMALL
    return Check(
        "memory", "warn" if small else "ok", f"limit {size(limit)}", "raise the memory limit of the container" if small else ""
    )


def _resolver() -> Check:
    try:
        lines = Path("/etc/resolv.conf").read_text(errors="replace").splitlines()
    except OSError as error:
        return Check(
            "resolver", "warn", f"/etc/resolv.conf: {error.strerror}", "mount a resolv.conf, or give names with --add-host"
        )
    servers = [line.split()[1] for line in lines if line.startswith("nameserver ") and len(line.split()) > 1]
    if not servers:
        return Check("resolver", "warn", "/etc/resolv.conf names no server", "add a line: nameserver ADDRESS")
    return Check("resolver", "ok", ", ".join(servers))


def _proxy(around: Surroundings) -> Check:
    from gazami.cli.request.registry import proxies
    from gazami.registry.wire import redact

    found = [f"{name}={redact(value) if '://' in value else value}" for name, value in proxies(around.environ)]
    return Check("proxy", "ok", ", ".join(found) or "none (HTTP_PROXY, HTTPS_PROXY, NO_PROXY)")


def registry_checks(reference: Reference, client: RegistryClient, now: float | None = None) -> Iterator[Check]:
    """Whether an image could be pushed to a name: its registry answers, knows us, and lets us."""
    from gazami.errors import AuthenticationError, RegistryError
    from gazami.registry.sessions import greet

    session = client.session(reference, "push")
    asked = "; ".join(session.credential_sources(reference.repository)) or _NONE
    fix = f"gazami login {reference.registry}"
    try:
        greeting = greet(session)
    except AuthenticationError as error:
        yield Check("registry", "ok", f"{reference.registry} answers")
        yield Check("credentials", "fail", f"{asked}; status {error.status}", fix)
        return
    except RegistryError as error:
        yield Check("registry", "fail", error.message.splitlines()[0], error.hint or "check the name and the network")
        return
    secure = greeting.url.startswith("https://")
    yield Check("registry", "ok", f"{reference.registry} answers, {'TLS' if secure else 'plain HTTP'}")
    yield _clock(greeting.date, time.time() if now is None else now)
    try:
        client.checks.check(reference)
    except AuthenticationError as error:
        yield Check("credentials", "fail", f"{asked}; no push to {reference.context}: status {error.status}", fix)
    except RegistryError as error:
        yield Check("push", "fail", error.message.splitlines()[0], error.hint or "ask the owner of the registry")
    else:
        yield Check("credentials", "ok", asked if asked != _NONE else f"{asked}, and none is needed")
        yield Check("push", "ok", f"{reference.context} takes a push")


def _clock(date: str, now: float) -> Check:
    from email.utils import parsedate_to_datetime

    try:
        skew = now - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return Check("clock", "ok", "the registry tells no time to compare with")
    if abs(skew) <= _SKEW:
        return Check("clock", "ok", f"differs from the registry's by {abs(skew):.0f} s")
    return Check(
        "clock", "warn", f"{abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}", "set the clock: timedatectl set-ntp true"
    )
