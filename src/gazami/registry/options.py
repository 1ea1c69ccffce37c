"""Options of a registry client: which registries to trust, how to reach them, how patient to be."""

from __future__ import annotations

from typing import Literal

from gazami.registry.retry import RetryPolicy
from gazami.values import fast_dataclass, field

Direction = Literal["pull", "push"]
Pairs = tuple[tuple[str, str], ...]


@fast_dataclass(frozen=True, slots=True)
class TrustOptions:
    """How far registries are trusted. They are named as in references, port included; paths are of PEM files.

    ``insecure`` is for every registry that is pushed to, ``insecure_pull`` for every one pulled from; ``skip_tls_verify`` is for
    all, as in kaniko, and ``skip_tls_verify_pull`` for those pulled from. The ``_registries`` name single ones.
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
    certificate_directories: tuple[str, ...] = ()
    """Directories of which every PEM file is trusted, for all registries (``SSL_CERT_DIR`` as Go reads it)."""


@fast_dataclass(frozen=True, slots=True)
class RegistryOptions:
    """Timeouts are seconds."""

    trust: TrustOptions = field(default_factory=TrustOptions)
    mirrors: Pairs = ()
    """``(registry, [scheme://]host[:port][/prefix])`` in the order to try: where images of a registry are pulled from."""
    fallback: bool = True
    """Whether an image that no mirror has is pulled from the registry that its name says."""
    ignore_immutable_tags: bool = False
    """A push to a tag that exists and cannot be changed is good."""
    proxies: Pairs = field(default=(), repr=False)
    """``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` with their values."""
    user_agent: str = "gazami"
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    connect_timeout: float = 30.0
    read_timeout: float = 120.0
    """Longest silence between two reads; the commit of an upload may take three times as long."""
