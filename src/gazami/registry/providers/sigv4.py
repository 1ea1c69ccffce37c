"""AWS Signature Version 4 for a request whose body is known ("Signing AWS API requests", AWS General Reference). No I/O."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from gazami.values import fast_dataclass, field

Headers = tuple[tuple[str, str], ...]


@fast_dataclass(frozen=True, slots=True)
class AwsKeys:
    """``lifetime`` is in seconds from when they were got, None for keys that do not end; ``how`` says where from."""

    access: str
    secret: str = field(repr=False)
    session: str = field(default="", repr=False)
    lifetime: float | None = None
    how: str = ""


def sign(
    method: str, url: str, headers: Headers, body: bytes, keys: AwsKeys, *, region: str, service: str, now: datetime
) -> Headers:
    """``headers`` with what proves who sends the request. ``url`` has no query; ``now`` is an aware time."""
    parts = urlsplit(url)
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    signed = (*headers, ("X-Amz-Date", stamp))
    if keys.session:
        signed = (*signed, ("X-Amz-Security-Token", keys.session))
    canonical = sorted((name.lower(), " ".join(value.split())) for name, value in (*signed, ("Host", parts.netloc)))
    names = ";".join(name for name, _ in canonical)
    request = "\n".join(
        (
            method,
            quote(parts.path or "/", safe="/-_.~%"),
            "",
            *(f"{name}:{value}" for name, value in canonical),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    proof = f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return (*signed, ("Authorization", proof))
