"""A token server for docker-registry (distribution spec: token, OAuth2), for tests: ES256 tokens with an x5c header."""

from __future__ import annotations

import base64
import datetime
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

from tests.loopback import serving
from tests.services import TokenAuth


@dataclass(slots=True)
class TokenServer:
    """``users`` by name with their passwords; ``identity_tokens`` stand for users. Users may do everything, others may
    pull from ``public``. ``asked`` records the scopes of each request; ``lifetime`` is in seconds."""

    auth: TokenAuth
    users: dict[str, str]
    identity_tokens: dict[str, str]
    public: frozenset[str]
    lifetime: int = 300
    asked: list[tuple[str, ...]] = field(default_factory=list)
    refuse_foreign: bool = False
    """Refuse the whole request (as some servers do) when it names the repository ``foreign``."""


@contextmanager
def token_server(
    tmp_path: Path, *, users: dict[str, str], identity_tokens: dict[str, str] | None = None, public: frozenset[str] = frozenset()
) -> Iterator[TokenServer]:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key)
    bundle = tmp_path / "token.pem"
    bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    x5c = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
    with serving(_Handler, key=key, x5c=x5c) as server:
        auth = TokenAuth(f"http://127.0.0.1:{server.server_port}/token", "test-registry", "test-issuer", bundle)
        state = TokenServer(auth, users, identity_tokens or {}, public)
        server.state = state  # type: ignore[attr-defined]
        yield state


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        header = self.headers.get("Authorization")
        user = ""
        if header:
            user, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
            if self.server.state.users.get(user) != password:
                return self._answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]})
        return self._issue(user, tuple(query.get("scope", ())), "token")

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        user = self.server.state.identity_tokens.get(form["refresh_token"][0])
        if user is None or form["grant_type"] != ["refresh_token"]:
            return self._answer(401, {"error": "invalid_grant"})
        return self._issue(user, tuple(form.get("scope", [""])[0].split()), "access_token")

    def _issue(self, user: str, scopes: tuple[str, ...], field_name: str) -> None:
        state: TokenServer = self.server.state
        state.asked.append(scopes)
        if state.refuse_foreign and any(":foreign:" in scope for scope in scopes):
            return self._answer(403, {"details": "no access to foreign"})
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            wanted = actions.split(",")
            allowed = wanted if user else [each for each in wanted if each == "pull" and name in state.public]
            access.append({"type": kind, "name": name, "actions": allowed})
        token = self._sign(user, access)
        return self._answer(200, {field_name: token, "expires_in": state.lifetime})

    def _sign(self, user: str, access: list[dict[str, Any]]) -> str:
        state: TokenServer = self.server.state
        now = int(time.time())
        header = {"typ": "JWT", "alg": "ES256", "x5c": [self.server.x5c]}
        claims = {
            "iss": state.auth.issuer, "sub": user, "aud": state.auth.service,
            "exp": now + state.lifetime, "nbf": now - 10, "iat": now, "jti": str(time.monotonic_ns()), "access": access,
        }  # fmt: skip
        signed = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(claims).encode())}"
        r, s = utils.decode_dss_signature(self.server.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tokens")])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
