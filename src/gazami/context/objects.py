"""Objects in Amazon's, Google's and Azure's stores: where they are, and what proves that we may read them.

One GET is all that a context needs, and the credentials are those that registries of the same clouds are asked with, so it
goes over the same connections: proxies, authorities, redirects and resumption work as everywhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote, unquote, urlsplit

from gazami.context.download import Authorize, Headers, nobody
from gazami.errors import ContextError, UsageError
from gazami.registry.providers.aws import find_keys, region_of
from gazami.registry.providers.azure import storage_token
from gazami.registry.providers.google import access_token
from gazami.registry.providers.grant import Unavailable
from gazami.registry.providers.sigv4 import AwsKeys, sign
from gazami.registry.providers.web import Web
from gazami.values import fast_dataclass

DEFAULT_OBJECT = "context.tar.gz"
"""The object of a URL that names a bucket alone, as kaniko has it."""

_BLOB = re.compile(
    r"(?P<account>[a-z0-9]{3,24})\.blob\.core\."
    r"(?:windows\.net|chinacloudapi\.cn|cloudapi\.de|usgovcloudapi\.net)\Z"
)
_EMPTY = hashlib.sha256(b"").hexdigest()
_VERSION = "2021-08-06"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}\Z")


@fast_dataclass(frozen=True, slots=True)
class StoredObject:
    """A URL to read, and the headers for each request. ``hint`` is what to do when they are refused."""

    url: str
    authorize: Authorize
    hint: str


def is_blob_url(url: str) -> bool:
    """Whether an https URL is of Azure Blob Storage, in whichever of its clouds; never a host that only looks like it."""
    return url.startswith("https://") and _BLOB.match(urlsplit(url).hostname or "") is not None


def bucket_and_object(rest: str) -> tuple[str, str]:
    """``bucket[/object]``. Raises :class:`UsageError` for what cannot be a bucket."""
    bucket, _, name = rest.partition("/")
    if not _BUCKET.match(bucket):
        raise UsageError(f"{bucket!r} is not the name of a bucket", hint="write s3://bucket/path/context.tar.gz")
    return bucket, unquote(name) or DEFAULT_OBJECT


# -- Amazon S3 --------------------------------------------------------------------------------------------------------


def s3(rest: str, environ: Mapping[str, str], web: Web, now: Callable[[], datetime]) -> StoredObject:
    """``S3_ENDPOINT`` and ``S3_FORCE_PATH_STYLE`` as kaniko has them, ``AWS_ENDPOINT_URL_S3`` as the SDKs have it.

    Raises :class:`ContextError` with every source of credentials that was asked.
    """
    bucket, name = bucket_and_object(rest)
    region = region_of(environ) or "us-east-1"
    endpoint = environ.get("S3_ENDPOINT") or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
    path = quote(name, safe="/-_.~")
    if endpoint:
        base = (endpoint if "://" in endpoint else f"https://{endpoint}").rstrip("/")
        in_path = environ.get("S3_FORCE_PATH_STYLE", "true" if not environ.get("S3_ENDPOINT") else "").lower() == "true"
        parts = urlsplit(base)
        url = f"{base}/{bucket}/{path}" if in_path else f"{parts.scheme}://{bucket}.{parts.netloc}/{path}"
    else:
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        dotted = "." in bucket  # the certificate of the service has one label for buckets
        host = f"s3.{region}.{domain}"
        url = f"https://{host}/{bucket}/{path}" if dotted else f"https://{bucket}.{host}/{path}"
    keys = _keys(environ, web, region, f"s3://{bucket}/{name}")
    headers = (("X-Amz-Content-Sha256", _EMPTY),)
    how = keys.how or "the keys that were found"
    hint = f"set AWS_REGION to the bucket's region, or use other keys (used: {how}, region {region})"
    return StoredObject(url, lambda _: sign("GET", url, headers, b"", keys, region=region, service="s3", now=now()), hint)


def _keys(environ: Mapping[str, str], web: Web, region: str, what: str) -> AwsKeys:
    try:
        return find_keys(environ, web, region)
    except Unavailable as error:
        hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod or the machine a role"
        raise ContextError(f"{what}: {error.message}", hint=hint) from None


# -- Google Cloud Storage ---------------------------------------------------------------------------------------------


def gcs(rest: str, environ: Mapping[str, str], web: Web) -> StoredObject:
    """The XML API. ``STORAGE_EMULATOR_HOST`` is another endpoint, which is asked without credentials."""
    bucket, name = bucket_and_object(rest)
    path = f"{bucket}/{quote(name, safe='/-_.~')}"
    if emulator := environ.get("STORAGE_EMULATOR_HOST"):
        base = emulator if "://" in emulator else f"http://{emulator}"
        return StoredObject(f"{base.rstrip('/')}/{path}", nobody, "unset STORAGE_EMULATOR_HOST to use credentials")
    try:
        token = access_token(environ, web)
    except Unavailable as error:
        hint = "set GOOGLE_APPLICATION_CREDENTIALS, or run with a service account (workload identity)"
        raise ContextError(f"gs://{bucket}/{name}: no Google credentials: {error.message}", hint=hint) from None
    hint = "give the account storage.objects.get on the bucket, or name another with GOOGLE_APPLICATION_CREDENTIALS"
    return StoredObject(f"https://storage.googleapis.com/{path}", lambda _: (("Authorization", f"Bearer {token}"),), hint)


# -- Azure Blob Storage -----------------------------------------------------------------------------------------------


def blob(url: str, environ: Mapping[str, str], web: Web, now: Callable[[], datetime]) -> StoredObject:
    """A shared key (``AZURE_STORAGE_ACCESS_KEY``), a signature in the URL or in ``AZURE_STORAGE_SAS_TOKEN``, or a token of the
    configured identity. ``AZURE_STORAGE_BLOB_ENDPOINT`` is another endpoint, with the account in its path."""
    parts = urlsplit(url)
    found = _BLOB.match(parts.hostname or "")
    assert found is not None
    account = found["account"]
    base = f"{parts.scheme}://{parts.netloc}"
    prefix = ""
    if endpoint := environ.get("AZURE_STORAGE_BLOB_ENDPOINT"):
        base, prefix = endpoint.rstrip("/"), urlsplit(endpoint).path.rstrip("/")
    path = parts.path
    query = parts.query or environ.get("AZURE_STORAGE_SAS_TOKEN", "").lstrip("?")
    if "sig=" in query:
        hint = "check the signature: it may have expired, or be for another object"
        return StoredObject(f"{base}{path}?{query}", lambda _: (("x-ms-version", _VERSION),), hint)
    if key := environ.get("AZURE_STORAGE_ACCESS_KEY") or environ.get("AZURE_STORAGE_ACCOUNT_KEY"):
        secret = _decoded(key)
        hint = f"check AZURE_STORAGE_ACCESS_KEY for the account {account}, and the URL: https://ACCOUNT…/CONTAINER/OBJECT"

        def shared_key(headers: Headers) -> Headers:
            return _shared_key(account, f"{prefix}{path}", secret, now(), headers)

        return StoredObject(f"{base}{path}", shared_key, hint)
    try:
        token = storage_token(environ, web)
    except Unavailable as error:
        hint = "set AZURE_STORAGE_ACCESS_KEY, or add a shared access signature to the URL, or run with a managed identity"
        raise ContextError(f"{base}{path}: {error.message}", hint=hint) from None
    hint = "give the identity the role Storage Blob Data Reader"
    headers = (("x-ms-version", _VERSION), ("Authorization", f"Bearer {token}"))
    return StoredObject(f"{base}{path}", lambda _: headers, hint)


def _decoded(key: str) -> bytes:
    try:
        return base64.b64decode(key, validate=True)
    except binascii.Error:
        raise UsageError("AZURE_STORAGE_ACCESS_KEY is not base64", hint="copy one of the account's access keys") from None


def _shared_key(account: str, path: str, secret: bytes, now: datetime, headers: Headers) -> Headers:
    """ "Authorize with Shared Key" of the Blob service, for a GET that may ask for a range."""
    date = format_datetime(now.astimezone(UTC), usegmt=True)
    wanted = dict(headers).get("Range", "")
    lines = ["GET", *([""] * 10), wanted, f"x-ms-date:{date}", f"x-ms-version:{_VERSION}", f"/{account}{path}"]
    signature = base64.b64encode(hmac.digest(secret, "\n".join(lines).encode(), "sha256")).decode()
    return (("x-ms-date", date), ("x-ms-version", _VERSION), ("Authorization", f"SharedKey {account}:{signature}"))
