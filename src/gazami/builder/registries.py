"""The request's wishes as a registry client."""

from __future__ import annotations

from dataclasses import replace

from gazami.builder.request import RegistryWishes
from gazami.cancel import Cancel
from gazami.events import Emit
from gazami.registry.client import RegistryClient
from gazami.registry.credentials import Keychain, parse_docker_config
from gazami.registry.options import RegistryOptions


def open_registry(wishes: RegistryWishes, emit: Emit, cancel: Cancel) -> RegistryClient:
    """A client for one build. Raises :class:`UsageError` when the docker config does not parse."""
    sources = []
    if wishes.docker_config is not None:
        sources.append(parse_docker_config(wishes.docker_config, wishes.docker_config_place or "config.json"))
    options = RegistryOptions(
        wishes.insecure,
        wishes.insecure_pull,
        wishes.insecure_registries,
        wishes.skip_tls_verify,
        wishes.skip_tls_verify_pull,
        wishes.skip_tls_verify_registries,
        wishes.certificates,
        wishes.client_certificates,
        wishes.proxies,
        wishes.user_agent,
    )
    retries = max(wishes.push_retry, wishes.image_download_retry)
    policy = replace(options.retry, attempts=max(options.retry.attempts, retries + 1))
    return RegistryClient(replace(options, retry=policy), Keychain(sources), emit, cancel)
