"""The request's wishes as a registry client."""

from __future__ import annotations

from dataclasses import replace

from gazami.builder.request import RegistryWishes
from gazami.cancel import Cancel
from gazami.events import Emit
from gazami.registry.client import RegistryClient
from gazami.registry.credentials import CredentialSource, Keychain, parse_docker_config
from gazami.registry.options import RegistryOptions
from gazami.registry.providers.choose import Providers
from gazami.registry.transport import Transport


def open_registry(wishes: RegistryWishes, emit: Emit, cancel: Cancel) -> RegistryClient:
    """A client for one build. Raises :class:`UsageError` when the docker config does not parse."""
    options = _options(wishes)
    transport = Transport(options, emit, cancel)
    sources: list[CredentialSource] = []
    named = wishes.named_hosts
    if wishes.docker_config is not None:
        config = parse_docker_config(wishes.docker_config, wishes.docker_config_place or "config.json")
        sources.append(config)
        named = (*named, *config.hosts)
    sources.append(Providers(wishes.credential_helpers, dict(wishes.environment), transport, named))
    return RegistryClient(options, Keychain(sources), emit, cancel, transport=transport)


def _options(wishes: RegistryWishes) -> RegistryOptions:
    """A retry that the flags ask for is one more attempt at each request, which is where failures can be mended."""
    options = RegistryOptions(
        insecure=wishes.insecure,
        insecure_pull=wishes.insecure_pull,
        insecure_registries=wishes.insecure_registries,
        skip_tls_verify=wishes.skip_tls_verify,
        skip_tls_verify_pull=wishes.skip_tls_verify_pull,
        skip_tls_verify_registries=wishes.skip_tls_verify_registries,
        certificates=wishes.certificates,
        client_certificates=wishes.client_certificates,
        certificate_directories=wishes.certificate_directories,
        mirrors=wishes.mirrors,
        fallback=not wishes.skip_default_registry_fallback,
        ignore_immutable_tags=wishes.push_ignore_immutable_tag_errors,
        proxies=wishes.proxies,
        user_agent=wishes.user_agent,
    )
    retries = max(wishes.push_retry, wishes.image_download_retry, wishes.image_fs_extract_retry)
    return replace(options, retry=replace(options.retry, attempts=max(options.retry.attempts, retries + 1)))
