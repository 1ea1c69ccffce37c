"""What a registry client is told: which registries to trust, how to reach them, how patient to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gazami.registry.retry import RetryPolicy

Direction = Literal["pull", "push"]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """Registries are named as in references, port included. Paths are of PEM files.

    ``insecure`` and ``skip_tls_verify`` are for every registry that is pushed to, their ``_pull`` twins for every one
    pulled from; the ``_registries`` name single ones. Timeouts are seconds.
    """

    insecure: bool = False
    insecure_pull: bool = False
    insecure_registries: tuple[str, ...] = ()
    skip_tls_verify: bool = False
    skip_tls_verify_pull: bool = False
    skip_tls_verify_registries: tuple[str, ...] = ()
    certificates: Pairs = ()
    """``(registry, path of CA certificates)``, trusted in addition to the system's."""
    client_certificates: tuple[tuple[str, str, str], ...] = ()
    """``(registry, certificate path, key path)``."""
    proxies: Pairs = ()
    """``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` with their values."""
    user_agent: str = "gazami"
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    connect_timeout: float = 30.0
    read_timeout: float = 120.0
    """Longest silence between two reads; the commit of an upload may take three times as long."""
