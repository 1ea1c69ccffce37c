"""Credentials for certain repositories as a docker ``config.json`` of their own, to be handed to a builder elsewhere. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable

from gazami.image.reference import DOCKER_HUB, Reference
from gazami.registry.credentials import HUB_KEY, Credential


def encode_docker_config(granted: Iterable[tuple[Reference, Credential]]) -> bytes:
    """One entry for a registry where all its repositories have the same credential, else one for each repository."""
    by_registry: dict[str, dict[str, Credential]] = {}
    for reference, credential in granted:
        by_registry.setdefault(reference.registry, {})[reference.repository] = credential
    auths: dict[str, dict[str, str]] = {}
    for registry, repositories in sorted(by_registry.items()):
        different = set(repositories.values())
        if len(different) == 1:
            auths[HUB_KEY if registry == DOCKER_HUB else registry] = _entry(different.pop())
        else:
            auths |= {f"{registry}/{name}": _entry(each) for name, each in sorted(repositories.items())}
    return json.dumps({"auths": auths}).encode()


def _entry(credential: Credential) -> dict[str, str]:
    entry: dict[str, str] = {}
    if credential.username or credential.password:
        pair = f"{credential.username}:{credential.password}"
        entry["auth"] = base64.b64encode(pair.encode()).decode()
    if credential.identity_token:
        entry["identitytoken"] = credential.identity_token
    if credential.registry_token:
        entry["registrytoken"] = credential.registry_token
    return entry
