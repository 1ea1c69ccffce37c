"""Azure Container Registry: a token of Microsoft Entra ID, exchanged at the registry for its refresh token.

The identity is a client secret, a federated token (workload identity), or the managed identity of the machine or app.
The registry's answer is used as the password of a fixed user name (ACR documentation, authentication options).
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from gazami.foreign import read_json
from gazami.registry.credentials import Credential
from gazami.registry.providers.grant import Grant, Provider, Unavailable
from gazami.registry.providers.web import Headers, Web, read_secret, text_of

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+azurecr\.(?P<cloud>io|cn|de|us)\Z")
_USER = "00000000-0000-0000-0000-000000000000"
_LIFETIME = 3 * 3600.0
"""Seconds that a refresh token of a registry lives when it does not say."""

_AUTHORITIES = {
    "io": "https://login.microsoftonline.com",
    "cn": "https://login.chinacloudapi.cn",
    "us": "https://login.microsoftonline.us",
    "de": "https://login.microsoftonline.de",
}
_RESOURCES = {
    "io": "https://containerregistry.azure.net",
    "cn": "https://management.chinacloudapi.cn",
    "us": "https://management.usgovcloudapi.net",
    "de": "https://management.microsoftazure.de",
}
_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_NOT_USED = ("AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME")
"""Variables of the SDKs that name an identity in a way that gazami has not; the managed identity would be another one."""

_METADATA = "http://169.254.169.254"

Environment = Mapping[str, str]


def is_azure(registry: str) -> bool:
    return _HOST.match(registry) is not None


def azure(
    environ: Environment,
    web: Web,
    now: Callable[[], float] = time.time,
    root: Callable[[str], str] = lambda registry: f"https://{registry}",
) -> Provider:
    """``root`` is where a registry's own services are."""
    return Provider("Azure", is_azure, lambda registry: _grant(registry, environ, web, now, root(registry)))


def _grant(registry: str, environ: Environment, web: Web, now: Callable[[], float], root: str) -> Grant:
    found = _HOST.match(registry)
    assert found is not None
    token, how = _entra_token(environ, web, found["cloud"])
    fields = {"grant_type": "access_token", "service": registry, "access_token": token}
    if tenant := environ.get("AZURE_TENANT_ID"):
        fields["tenant"] = tenant
    try:
        answer = web.form(f"{root}/oauth2/exchange", fields)
    except Unavailable as error:
        raise Unavailable(f"{error.message} (with {how})") from None
    refresh = text_of(answer, "refresh_token", registry)
    return Grant(Credential(_USER, refresh), _lifetime(refresh, now), f"used, {how}")


def storage_token(environ: Environment, web: Web) -> str:
    """A token of the configured identity for Blob Storage. Raises :class:`Unavailable`."""
    return _entra_token(environ, web, "io", "https://storage.azure.com")[0]


def _entra_token(environ: Environment, web: Web, cloud: str, resource: str = "") -> tuple[str, str]:
    """The token of the configured identity, and its name. ``resource`` is what it is for, by default a registry."""
    resource = resource or _RESOURCES[cloud]
    client, tenant = environ.get("AZURE_CLIENT_ID", ""), environ.get("AZURE_TENANT_ID", "")
    proof: dict[str, str] = {}
    if secret := environ.get("AZURE_CLIENT_SECRET"):
        proof, how = {"client_secret": secret}, "client secret"
    elif assertion := _federated(environ):
        proof, how = {"client_assertion_type": _JWT_BEARER, "client_assertion": assertion}, "federated token"
    if not proof:
        if other := next((name for name in _NOT_USED if environ.get(name)), None):
            raise Unavailable(f"{other} is not supported: use AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE")
        return _managed(environ, web, resource)
    if not client or not tenant:
        raise Unavailable(f"a {how} needs AZURE_CLIENT_ID and AZURE_TENANT_ID")
    authority = (environ.get("AZURE_AUTHORITY_HOST") or _AUTHORITIES[cloud]).rstrip("/")
    if "://" not in authority:
        authority = f"https://{authority}"
    fields = {"grant_type": "client_credentials", "client_id": client, "scope": f"{resource}/.default", **proof}
    answer = web.form(f"{authority}/{tenant}/oauth2/v2.0/token", fields)
    return text_of(answer, "access_token", "Entra ID"), f"{how} of {client}"


def _federated(environ: Environment) -> str:
    if token := environ.get("AZURE_FEDERATED_TOKEN"):
        return token
    file = environ.get("AZURE_FEDERATED_TOKEN_FILE")
    return read_secret(file, "AZURE_FEDERATED_TOKEN_FILE") if file else ""


def _managed(environ: Environment, web: Web, resource: str) -> tuple[str, str]:
    """The managed identity by the app's endpoint where there is one, else by the machine's metadata service."""
    query = {"resource": resource}
    if client := environ.get("AZURE_CLIENT_ID"):
        query["client_id"] = client
    headers: Headers
    if environ.get("IDENTITY_ENDPOINT") and environ.get("IDENTITY_HEADER"):
        base, version = environ["IDENTITY_ENDPOINT"], "2019-08-01"
        headers = (("X-IDENTITY-HEADER", environ["IDENTITY_HEADER"]),)
    elif environ.get("MSI_ENDPOINT"):
        base, version = environ["MSI_ENDPOINT"], "2017-09-01"
        headers = (("Secret", environ["MSI_SECRET"]),) if environ.get("MSI_SECRET") else (("Metadata", "true"),)
        if "client_id" in query:
            query["clientid"] = query.pop("client_id")
    else:
        root = environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST") or _METADATA
        base, version = f"{root.rstrip('/')}/metadata/identity/oauth2/token", "2018-02-01"
        headers = (("Metadata", "true"),)
    url = f"{base}?{urlencode({'api-version': version, **query})}"
    try:
        answer = web.json("GET", url, headers, metadata=True)
    except Unavailable as error:
        raise Unavailable(f"no client secret, no federated token, and no managed identity ({error.message})") from None
    return text_of(answer, "access_token", "the managed identity"), "managed identity"


def _lifetime(token: str, now: Callable[[], float]) -> float:
    """Seconds until a JSON Web Token ends, as it says itself (RFC 7519, exp)."""
    try:
        payload = token.split(".")[1]
        claims: Any = read_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return max(0.0, float(claims["exp"]) - now())
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return _LIFETIME
