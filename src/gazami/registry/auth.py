"""Authorization at one registry: Basic, and the token protocol (distribution spec: token, OAuth2).

Nothing is sent before the registry has asked. Its challenge is then remembered, so that later requests carry a header
from the start. Tokens are kept by realm, service, scopes and credential until shortly before they expire. A password
goes to the registry itself and to the realm that it names, never to a plain-HTTP realm of a TLS registry.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlencode, urlsplit

from gazami.errors import AuthenticationError, RegistryError
from gazami.foreign import read_json
from gazami.registry.credentials import Credential, Keychain, Lookup
from gazami.registry.exchange import Request, Response
from gazami.registry.flights import Flights
from gazami.registry.redirects import MAX_REDIRECTS, STATUSES, check_redirect, joined, same_origin
from gazami.registry.refusal import Refusal, error_of
from gazami.registry.transport import Transport
from gazami.registry.wire import Challenge, is_token, merge_scopes, parse_error, redact, with_query
from gazami.values import fast_dataclass, field
from gazami.worker import Worker

if TYPE_CHECKING:
    from gazami.registry.routing import Trust

CLIENT_ID = "gazami"
DEFAULT_LIFETIME = 60.0
"""Seconds that a token lives when the server does not say (token spec, expires_in)."""

_LONGEST_LIFE = 10 * 365 * 86400.0
_MAX_TOKEN = 1024 * 1024


@fast_dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    expires: float


_Key: TypeAlias = tuple[str, str, tuple[str, ...], Credential | None]
"""Realm, service, scopes and credential of a token."""


class Authorizer:
    """The Authorization header for each request to one registry; safe to use from several threads."""

    def __init__(
        self, registry: str, keychain: Keychain, transport: Transport, trust: Trust, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._keychain = keychain
        self._transport = transport
        self._trust = trust
        self._clock = clock
        self._lock = threading.Lock()
        """Guards the fields below. Nothing is asked while it is held."""
        self._challenge: Challenge | None = None
        self._lookups: Flights[str, Lookup] = Flights()
        self._tokens: Flights[_Key, _Token] = Flights()
        self._issued: dict[str, tuple[_Key, _Token]] = {}
        self._upgrades: dict[tuple[str, ...], tuple[str, ...]] = {}

    def lookup(self, repository: str) -> Lookup:
        """Raises :class:`HostError` when a credential program fails."""
        cancel = self._transport.cancel

        def ask() -> Lookup:  # a program, or a cloud: it may take long and cannot always be stopped
            return Worker("credential", lambda: self._keychain.lookup(self._registry, repository)).result(cancel)

        found = self._lookups.get(repository, ask, cancel)
        if found.until is not None and found.until <= self._clock():
            self._lookups.forget(repository, found)
            found = self._lookups.get(repository, ask, cancel)
        return found

    def header(self, repository: str, scopes: tuple[str, ...], *, secure: bool) -> str | None:
        """The header as far as the registry's options are known. Raises :class:`AuthenticationError`."""
        with self._lock:
            challenge, wanted = self._challenge, self._wanted(scopes)
        return self._header(challenge, repository, wanted, secure=secure) if challenge is not None else None

    def renew(
        self,
        challenges: tuple[Challenge, ...],
        repository: str,
        scopes: tuple[str, ...],
        *,
        refused: str | None,
        again: bool,
        secure: bool,
    ) -> str | None:
        """The header to try after a 401, or None when there is no other one.

        ``refused`` is the header that the 401 was for; ``again`` that it came from this method for the same request.
        Raises :class:`AuthenticationError` when the token server refuses, :class:`TransportError` when it is away.
        """
        challenge = _choose(challenges)
        if challenge is None:
            return None
        with self._lock:
            self._challenge = challenge
            wanted = self._wanted(scopes)
            merged = merge_scopes(wanted, tuple(challenge.get("scope").split()))
            if again and merged == wanted:
                return None
            self._upgrades[scopes] = merged
            stale = self._issued.pop(refused, None) if refused is not None else None
        if stale is not None:
            self._tokens.forget(*stale)
        header = self._header(challenge, repository, merged, secure=secure)
        return header if header != refused else None

    def _wanted(self, scopes: tuple[str, ...]) -> tuple[str, ...]:
        return self._upgrades.get(scopes) or merge_scopes(scopes, ())

    def _header(self, challenge: Challenge, repository: str, scopes: tuple[str, ...], *, secure: bool) -> str | None:
        credential = self.lookup(repository).credential
        if credential and credential.registry_token:
            return f"Bearer {credential.registry_token}"
        if challenge.scheme == "basic":
            return _basic(credential) if credential else None
        realm, service = challenge.get("realm"), challenge.get("service")
        key = (realm, service, scopes, credential)

        def fetch() -> _Token:
            self._check_realm(realm, credential, secure=secure)
            return self._fetch(realm, service, scopes, repository)

        token = self._tokens.get(key, fetch, self._transport.cancel)
        if token.expires <= self._clock():
            self._tokens.forget(key, token)
            token = self._tokens.get(key, fetch, self._transport.cancel)
        with self._lock:
            self._issued[token.header] = (key, token)
        return token.header

    def _check_realm(self, realm: str, credential: Credential | None, *, secure: bool) -> None:
        try:
            scheme = urlsplit(realm).scheme
        except ValueError:
            scheme = ""
        if scheme not in ("http", "https") or (scheme == "http" and secure and credential):
            raise AuthenticationError(
                f"{self._registry} names {redact(realm)!r} as its token server; gazami sends no password there",
                url=redact(realm),
                hint="the token server of a TLS registry must use TLS too",
            )

    def _fetch(self, realm: str, service: str, scopes: tuple[str, ...], repository: str) -> _Token:
        lookup = self.lookup(repository)
        credential = lookup.credential
        with self._ask(realm, service, scopes, credential) as response:
            if response.status == 200:
                return self._read(response)
            raise error_of(
                Refusal(
                    f"get a token for {self._registry}",
                    redact(realm),
                    response.status,
                    parse_error(response.read_some()),
                    self._registry,
                    scopes,
                    lookup.asked,
                    authenticated=credential is not None,
                )
            )

    def _ask(self, realm: str, service: str, scopes: tuple[str, ...], credential: Credential | None) -> Response:
        """An identity token goes by POST; servers that have no such operation are asked by GET with it as password."""
        if credential and credential.identity_token:
            posted = _oauth2_request(realm, service, scopes, credential.identity_token)
            response = self._transport.persist(lambda: self._exchange(posted))
            if response.status not in (404, 405):
                return response
            response.close()
            credential = Credential(credential.username or "<token>", credential.password or credential.identity_token)
        request = _token_request(realm, service, scopes, credential)
        return self._transport.persist(lambda: self._exchange(request))

    def _exchange(self, request: Request) -> Response:
        """One attempt, following redirects; credentials stay with the host that they were meant for."""
        named, headers = request.url, request.headers
        for _ in range(MAX_REDIRECTS):
            response = self._transport.exchange(request, self._trust)
            location = response.header("Location")
            if request.method != "GET" or response.status not in STATUSES or not location:
                break
            response.close()
            target = joined(request.url, location)
            check_redirect(request.url, target)
            request = Request("GET", target, headers if same_origin(target, named) else ())
        return response

    def _read(self, response: Response) -> _Token:
        try:
            document = read_json(response.read(_MAX_TOKEN))
            text = str(document.get("token") or document.get("access_token") or "")
            lifetime = float(document.get("expires_in") or DEFAULT_LIFETIME)
        except (ValueError, TypeError, AttributeError):
            text, lifetime = "", DEFAULT_LIFETIME
        if not is_token(text):
            raise RegistryError(f"{redact(response.url)}: the answer has no token", url=redact(response.url))
        if not 0 < lifetime < _LONGEST_LIFE:  # also where it is no number
            lifetime = DEFAULT_LIFETIME
        return _Token(f"Bearer {text}", self._clock() + lifetime - min(10.0, lifetime / 10))


def _choose(challenges: tuple[Challenge, ...]) -> Challenge | None:
    """Bearer before Basic. A bare 401 is met with Basic, as old proxies in front of a registry expect."""
    for challenge in challenges:
        if challenge.scheme == "bearer" and challenge.get("realm"):
            return challenge
    return next((each for each in challenges if each.scheme == "basic"), None if challenges else Challenge("basic"))


def _basic(credential: Credential) -> str | None:
    if not credential.username and not credential.password:
        return None
    return "Basic " + base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()


def _token_request(realm: str, service: str, scopes: tuple[str, ...], credential: Credential | None) -> Request:
    url = with_query(realm, "service", service) if service else realm
    for scope in scopes:
        url = with_query(url, "scope", scope)
    header = _basic(credential) if credential else None
    return Request("GET", url, (("Authorization", header),) if header else ())


def _oauth2_request(realm: str, service: str, scopes: tuple[str, ...], identity_token: str) -> Request:
    form = {
        "grant_type": "refresh_token",
        "service": service,
        "client_id": CLIENT_ID,
        "scope": " ".join(scopes),
        "refresh_token": identity_token,
    }
    headers = (("Content-Type", "application/x-www-form-urlencoded"),)
    return Request("POST", realm, headers, urlencode(form).encode())
