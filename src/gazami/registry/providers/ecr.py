"""Amazon ECR, private and public: GetAuthorizationToken (ECR API reference), signed with the keys of ``aws``."""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from gazami.registry.credentials import Credential
from gazami.registry.providers.grant import Grant, Provider, Unavailable
from gazami.registry.providers.web import Web, text_of
from gazami.values import fast_dataclass

_PRIVATE = re.compile(
    r"(?P<account>[0-9]{12})\.dkr[.-]ecr(?P<fips>-fips)?\.(?P<region>[a-z0-9][a-z0-9-]{0,30})\."
    r"(?P<domain>amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|on\.aws|on\.amazonwebservices\.com\.cn"
    r"|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)\Z"
)
_PUBLIC = frozenset({"public.ecr.aws", "ecr-public.aws.com"})
_PUBLIC_REGION = "us-east-1"
_EXISTS = "RepositoryAlreadyExistsException"
_LIFETIME = 12 * 3600.0
"""Seconds that a token lives when the answer does not say (ECR user guide, registry authentication)."""


@fast_dataclass(frozen=True, slots=True)
class _Api:
    """The service of a registry: its name, its endpoint, and what the names of its operations begin with."""

    service: str
    endpoint: str
    target: str
    region: str
    account: str = ""


def is_ecr(registry: str) -> bool:
    return registry in _PUBLIC or _PRIVATE.match(registry) is not None


def ecr(environ: Mapping[str, str], web: Web, now: Callable[[], float] = time.time) -> Provider:
    return Provider("Amazon ECR", is_ecr, lambda registry: _grant(registry, environ, web, now))


def api_of(registry: str) -> _Api:
    """The service of ``registry``, one of ECR's."""
    found = _PRIVATE.match(registry)
    if found is None:
        return _Api(
            "ecr-public", f"https://api.ecr-public.{_PUBLIC_REGION}.amazonaws.com", "SpencerFrontendService", _PUBLIC_REGION
        )
    region, domain = found["region"], found["domain"]
    if domain == "on.aws":
        endpoint = f"https://ecr{found['fips'] or ''}.{region}.api.aws"
    elif domain == "on.amazonwebservices.com.cn":
        endpoint = f"https://ecr.{region}.api.amazonwebservices.com.cn"
    elif found["fips"]:
        endpoint = f"https://ecr-fips.{region}.{domain}"
    else:
        endpoint = f"https://api.ecr.{region}.{domain}"
    return _Api("ecr", endpoint, "AmazonEC2ContainerRegistry_V20150921", region, found["account"])


def create_repository(
    registry: str, repository: str, environ: Mapping[str, str], web: Web, now: Callable[[], float] = time.time
) -> bool:
    """Make a repository of ECR (CreateRepository, ECR API reference); False when it exists. Raises :class:`Unavailable`."""
    api = api_of(registry)
    if api.account:
        wanted: dict[str, Any] = {"repositoryName": repository, "registryId": api.account}
    else:  # the first part of a public repository's path is its owner's alias
        wanted = {"repositoryName": repository.partition("/")[2] or repository}
    try:
        _ask(api, "CreateRepository", wanted, environ, web, now)
    except Unavailable as error:
        if _EXISTS in error.message:
            return False
        raise
    return True


def _grant(registry: str, environ: Mapping[str, str], web: Web, now: Callable[[], float]) -> Grant:
    api = api_of(registry)
    wanted = {"registryIds": [api.account]} if api.account else {}
    document, how = _ask(api, "GetAuthorizationToken", wanted, environ, web, now)
    token = _authorization(document)
    user, password = _decoded(text_of(token, "authorizationToken", "ECR"))
    ends = token.get("expiresAt")
    lifetime = float(ends) - now() if isinstance(ends, (int, float)) else _LIFETIME
    return Grant(Credential(user, password), max(lifetime, 0.0), f"used, {how}")


def _ask(
    api: _Api, operation: str, wanted: dict[str, Any], environ: Mapping[str, str], web: Web, now: Callable[[], float]
) -> tuple[dict[str, Any], str]:
    """The answer of an operation, and where the keys come from that signed it."""
    from gazami.registry.providers.aws import find_keys, service_endpoint
    from gazami.registry.providers.sigv4 import sign

    keys = find_keys(environ, web, api.region, now)
    url = service_endpoint(environ, api.service.upper().replace("-", "_"), api.endpoint)
    body = json.dumps(wanted).encode()
    headers = (("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", f"{api.target}.{operation}"))
    signed = sign("POST", url, headers, body, keys, region=api.region, service=api.service, now=datetime.fromtimestamp(now(), UTC))
    try:
        return web.json("POST", url, signed, body), keys.how
    except Unavailable as error:
        raise Unavailable(f"{error.message} (with {keys.how})") from None


def _authorization(document: dict[str, Any]) -> dict[str, Any]:
    """ECR answers with a list of one, ECR Public with an object."""
    data = document.get("authorizationData")
    if isinstance(data, list):
        data = data[0] if data else None
    if not isinstance(data, dict):
        raise Unavailable("ECR answered without authorizationData")
    return data


def _decoded(token: str) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise Unavailable("ECR answered with a token that is not user:password")
    return user, password
