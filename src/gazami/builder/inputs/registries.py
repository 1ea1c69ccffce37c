"""The request's registry options and credentials as a registry client."""

from __future__ import annotations

from gazami.builder.request import CredentialOptions
from gazami.cancel import Cancel
from gazami.events import Emit
from gazami.registry.client import RegistryClient
from gazami.registry.credentials import CredentialSource, Keychain, parse_docker_config
from gazami.registry.options import RegistryOptions
from gazami.registry.providers.choose import Providers
from gazami.registry.transport import Transport


def open_registry(options: RegistryOptions, credentials: CredentialOptions, emit: Emit, cancel: Cancel) -> RegistryClient:
    """A client for one build. Raises :class:`UsageError` when the docker config does not parse."""
    transport = Transport(options, emit, cancel)
    sources: list[CredentialSource] = []
    named = credentials.named_hosts
    if credentials.docker_config is not None:
        config = parse_docker_config(credentials.docker_config, credentials.docker_config_place or "config.json")
        sources.append(config)
        named = (*named, *config.hosts)
    sources.append(Providers(credentials.helpers, dict(credentials.environment), transport, named))
    return RegistryClient(options, Keychain(sources), emit, cancel, transport=transport)
