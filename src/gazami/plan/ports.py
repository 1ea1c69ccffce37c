"""EXPOSE's words as ``port/protocol`` keys (frontend reference, EXPOSE)."""

from __future__ import annotations

import re

from gazami.errors import DockerfileError

_PROTOCOLS = ("tcp", "udp", "sctp")


def exposed_ports(words: tuple[str, ...]) -> tuple[str, ...]:
    """Sorted keys, ranges expanded. A host part (``ip:host:port``) is tolerated and dropped. Raises on anything else."""
    found: set[str] = set()
    for word in sorted(words):
        ports, _, protocol = word.partition("/")
        protocol = protocol.lower() if "/" in word else "tcp"
        if protocol not in _PROTOCOLS:
            raise DockerfileError(f"invalid containerPort: {word}: unknown protocol", hint="tcp, udp or sctp")
        container = ports.rpartition(":")[2] if not ports.startswith("[") else ports.rpartition("]:")[2]
        first, last = _range(container, word)
        found.update(f"{port}/{protocol}" for port in range(first, last + 1))
    return tuple(sorted(found, key=lambda key: (int(key.partition("/")[0]), key)))


def _range(text: str, word: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text, re.ASCII)
    if not match:
        raise DockerfileError(f"invalid containerPort: {word}", hint="write a port, or a range such as 8000-8010/udp")
    first, last = int(match.group(1)), int(match.group(2) or match.group(1))
    if first > last or last > 65535:
        raise DockerfileError(f"invalid containerPort: {word}", hint="use ports from 0 to 65535, the lower end of a range first")
    return first, last
