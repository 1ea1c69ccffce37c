"""Google Artifact Registry and Container Registry: an OAuth 2.0 access token from the application default credentials.

``GOOGLE_APPLICATION_CREDENTIALS``, gcloud's file, the metadata service of a machine or of GKE (workload identity). Keys
of a service account are signed with the package cryptography, and everything that is neither a key nor a refresh token
(workload identity federation, impersonation) is left to google-auth, both of the extra ``gcp``.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from gazami.foreign import read_json
from gazami.registry.credentials import Credential
from gazami.registry.providers.grant import Grant, Provider, Unavailable
from gazami.registry.providers.web import Web, missing_extra, read_secret, seconds_of, text_of

_HOST = re.compile(r"(?:gcr\.io|(?:[a-z0-9-]+\.)+(?:gcr\.io|pkg\.dev|google\.com))\Z")
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TOKEN = "https://oauth2.googleapis.com/token"
_METADATA = "metadata.google.internal"
_METADATA_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
_USER = "oauth2accesstoken"
_LIFETIME = 3600.0
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def is_google(registry: str) -> bool:
    return _HOST.match(registry) is not None


def google(environ: Mapping[str, str], web: Web, now: Callable[[], float] = time.time) -> Provider:
    return Provider("Google", is_google, lambda registry: _grant(environ, web, now))


def access_token(environ: Mapping[str, str], web: Web, now: Callable[[], float] = time.time) -> str:
    """The token of the application default credentials, for other services than registries. Raises :class:`Unavailable`."""
    return _grant(environ, web, now).credential.password


def _grant(environ: Mapping[str, str], web: Web, now: Callable[[], float]) -> Grant:
    if path := environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        return _from_file(path, read_secret(path, "GOOGLE_APPLICATION_CREDENTIALS"), web, now)
    settings = environ.get("CLOUDSDK_CONFIG") or (f"{environ['HOME']}/.config/gcloud" if environ.get("HOME") else "")
    path = f"{settings}/application_default_credentials.json"
    if settings and os.path.lexists(path):  # a file that is broken is not a reason to be somebody else
        return _from_file(path, read_secret(path, "gcloud's credentials"), web, now)
    return _from_metadata(environ, web)


def _from_file(path: str, text: str, web: Web, now: Callable[[], float]) -> Grant:
    try:
        key = read_json(text)
        kind = key["type"]
    except (ValueError, KeyError, TypeError):
        raise Unavailable(f"{path} is not a file of Google credentials (JSON with a type)") from None
    if kind == "service_account":
        answer = web.form(_endpoint(key), {"grant_type": _JWT_BEARER, "assertion": _assertion(key, path, now)})
        how = f"service account {key.get('client_email')} of {path}"
    elif kind == "authorized_user":
        names = ("client_id", "client_secret", "refresh_token")
        fields = {name: text_of(key, name, path) for name in names}
        answer = web.form(_endpoint(key), {"grant_type": "refresh_token", **fields})
        how = f"refresh token of {path}"
    else:
        return _from_library(path, str(kind))
    return _token(answer, how)


def _endpoint(key: dict[str, Any]) -> str:
    return str(key.get("token_uri") or _TOKEN)


def _assertion(key: dict[str, Any], path: str, now: Callable[[], float]) -> str:
    """A JSON Web Token that the service account's key signs (RFC 7523, RS256)."""
    try:
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, rsa
    except ImportError:
        raise missing_extra("gcp", f"the service account key {path}") from None
    issued = int(now())
    header = {"alg": "RS256", "typ": "JWT", "kid": str(key.get("private_key_id") or "")}
    claims = {
        "iss": text_of(key, "client_email", path),
        "scope": _SCOPE,
        "aud": _endpoint(key),
        "iat": issued,
        "exp": issued + int(_LIFETIME),
    }
    message = ".".join(_encode(json.dumps(part).encode()) for part in (header, claims))
    try:
        private = serialization.load_pem_private_key(str(key.get("private_key")).encode(), None)
    except (ValueError, TypeError):
        raise Unavailable(f"the private_key of {path} is not a PEM key") from None
    if not isinstance(private, rsa.RSAPrivateKey):
        raise Unavailable(f"the private_key of {path} is not an RSA key")
    return f"{message}.{_encode(private.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _from_library(path: str, kind: str) -> Grant:
    """Workload identity federation and its kin. google-auth speaks to the token services by itself."""
    try:
        from google.auth import load_credentials_from_file
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request
    except ImportError:
        raise missing_extra("gcp", f"{path}, of the type {kind!r},") from None
    try:
        credentials, _ = load_credentials_from_file(path, scopes=[_SCOPE])
        credentials.refresh(Request())
    except (GoogleAuthError, OSError, ValueError) as error:
        raise Unavailable(f"{path}, of the type {kind!r}: {type(error).__name__}") from None
    return Grant(Credential(_USER, str(credentials.token)), _LIFETIME / 4, f"used, {kind} of {path}")


def _from_metadata(environ: Mapping[str, str], web: Web) -> Grant:
    if environ.get("NO_GCE_CHECK", "").lower() == "true":
        raise Unavailable("no credentials file, and the metadata service is switched off by NO_GCE_CHECK")
    host = environ.get("GCE_METADATA_HOST") or environ.get("GCE_METADATA_ROOT") or _METADATA
    try:
        answer = web.json("GET", f"http://{host}{_METADATA_PATH}", (("Metadata-Flavor", "Google"),), metadata=True)
    except Unavailable as error:
        raise Unavailable(f"no credentials file, and no metadata service ({error.message})") from None
    return _token(answer, "service account of the metadata service")


def _token(answer: dict[str, Any], how: str) -> Grant:
    credential = Credential(_USER, text_of(answer, "access_token", "Google"))
    return Grant(credential, seconds_of(answer, "expires_in", _LIFETIME), f"used, {how}")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
