"""One registry as it is spoken to in one direction: its scheme, authorization, redirects and refusals.

The first request finds out whether the registry speaks TLS (see ``routing``). The Authorization header goes to the
registry's own host alone, never along a redirect or an upload location to another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from gazami.errors import RegistryError, TransportError
from gazami.registry.exchange import Body, Request, Response
from gazami.registry.faults import ConnectionFault
from gazami.registry.flights import Flights
from gazami.registry.redirects import MAX_REDIRECTS, STATUSES, check_redirect, joined, same_origin
from gazami.registry.refusal import Refusal, error_of
from gazami.registry.retry import RETRYABLE
from gazami.registry.transport import Transport
from gazami.registry.wire import parse_challenges, parse_error, redact
from gazami.values import fast_dataclass, replace

if TYPE_CHECKING:
    from gazami.registry.auth import Authorizer
    from gazami.registry.routing import Route, Trust

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@fast_dataclass(frozen=True, slots=True)
class Call:
    """A request before it has a scheme and an authorization.

    ``target`` is a path below the registry's root or an absolute URL. ``scopes`` is what it needs a token for, such as
    ``repository:team/app:pull``; ``repository`` chooses the credential.
    """

    method: str
    target: str
    repository: str
    scopes: tuple[str, ...]
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Body | None = None
    timeout: float | None = None


class Session:
    """Safe to use from several threads."""

    def __init__(
        self, registry: str, route: Route, trust: Trust, transport: Transport, authorizer: Authorizer, attempts: int
    ) -> None:
        self.registry = registry
        self.transport = transport
        self._route = route
        self._trust = trust
        self._authorizer = authorizer
        self.attempts = attempts
        self._probes: Flights[str, str] = Flights()
        self._scheme: str | None = route.schemes[0] if len(route.schemes) == 1 else transport.schemes.get(route.host)

    def send(self, call: Call) -> Response:
        """The answer, with any status, after as many attempts as the policy allows.

        Raises :class:`TransportError`, and :class:`AuthenticationError` when the token server refuses.
        """
        return self.transport.persist(lambda: self.attempt(call), self.attempts)

    def fetch(self, call: Call, limit: int) -> Response:
        """As :meth:`send`, with a 200 answer's body already there as ``body``: a cut in it is one more failed attempt.

        Raises :class:`RegistryError` when it is larger than ``limit`` bytes.
        """

        def attempt() -> Response:
            response = self.attempt(call)
            if response.status == 200:
                try:
                    response.body = response.read(limit)
                except BaseException:
                    response.close()
                    raise
            return response

        return self.transport.persist(attempt, self.attempts)

    def attempt(self, call: Call) -> Response:
        """As :meth:`send` with one attempt. Raises :class:`ConnectionFault` when no answer came."""
        header = self._authorizer.header(call.repository, call.scopes, secure=self._scheme == "https")
        renewed = False
        while True:
            response = self._follow(call, header)
            if response.status != 401 or not self.owns(response.url):
                return response
            fresh = self._authorizer.renew(
                parse_challenges(response.headers("WWW-Authenticate")),
                call.repository,
                call.scopes,
                refused=header,
                again=renewed,
                secure=self._scheme == "https",
            )
            if fresh is None:
                return response
            response.close()
            header, renewed = fresh, True

    def credential_sources(self, repository: str) -> tuple[str, ...]:
        """In words, which sources of credentials were asked for a repository, and what each had."""
        return self._authorizer.lookup(repository).asked

    def location(self, response: Response) -> str | None:
        """The answer's Location as an absolute URL; on our own host it keeps our scheme, which a TLS-terminating
        proxy in front of the registry may have hidden from it."""
        target = response.header("Location")
        return self._adopt(joined(response.url, target)) if target else None

    def owns(self, url: str) -> bool:
        return _host(url) == _host(f"{urlsplit(url).scheme}://{self._route.host}")

    def refusal(self, response: Response, what: str, call: Call) -> RegistryError:
        """The error for an answer that is not the wanted one; closes it. ``what`` completes "cannot …"."""
        with response:
            body = response.read_some()
        lookup = self._authorizer.lookup(call.repository)
        return error_of(
            Refusal(
                what,
                redact(response.url),
                response.status,
                parse_error(body),
                self.registry,
                call.scopes,
                lookup.asked,
                authenticated=lookup.credential is not None,
                attempts=self.attempts if response.status in RETRYABLE else 1,
            )
        )

    def _follow(self, call: Call, header: str | None) -> Response:
        """The answer behind all redirects. Other methods than GET and HEAD follow 307 and 308 alone."""
        request = Request(call.method, call.target, call.headers, call.body, call.timeout)
        for _ in range(MAX_REDIRECTS):
            response = self._exchange(request, header)
            target = self.location(response)
            followed = STATUSES if request.method in ("GET", "HEAD") else (307, 308)
            if response.status not in followed or not target:
                return response
            response.close()
            check_redirect(response.url, target)
            request = replace(request, url=target)
        raise TransportError(f"{redact(request.url)}: too many redirects", url=redact(request.url))

    def _exchange(self, request: Request, header: str | None) -> Response:
        if urlsplit(request.url).scheme:
            if header and same_origin(request.url, f"{self._scheme}://{self._route.host}"):
                request = replace(request, headers=(*request.headers, ("Authorization", header)))
            return self.transport.exchange(request, self._trust)
        if header:
            request = replace(request, headers=(*request.headers, ("Authorization", header)))
        if self._scheme is None and (first := self._first(request)) is not None:
            return first
        return self.transport.exchange(self._absolute(request, self._scheme or "https"), self._trust)

    def _first(self, request: Request) -> Response | None:
        """Find out the scheme; the answer, if it was this thread's request that did."""
        answers: list[Response] = []

        def probe() -> str:
            answers.append(self._probe(request))
            return self._scheme or ""

        self._probes.get(self._route.host, probe, self.transport.cancel)
        return answers[0] if answers else None

    def _probe(self, request: Request) -> Response:
        """Try the schemes in order. A port that failed at TLS and answers 400 to plain HTTP does speak TLS."""
        first: ConnectionFault | None = None
        has_port = urlsplit(f"//{self._route.host}").port is not None
        schemes = self._route.schemes
        if "http" in schemes and self.transport.is_plain(self._route.host):
            schemes = ("http",)
        for scheme in schemes:
            try:
                response = self.transport.exchange(self._absolute(request, scheme), self._trust)
            except ConnectionFault as fault:
                first = first or fault
                if fault.kind == "certificate" and has_port:
                    break
                continue
            if first is not None and has_port and response.status == 400 and not first.is_plain:
                response.close()
                break
            self._scheme = self.transport.schemes[self._route.host] = scheme
            return response
        assert first is not None
        raise first

    def _absolute(self, request: Request, scheme: str) -> Request:
        return replace(request, url=f"{scheme}://{self._route.host}{request.url}")

    def _adopt(self, url: str) -> str:
        if self._scheme and self.owns(url):
            return urlunsplit(urlsplit(url)._replace(scheme=self._scheme, netloc=self._route.host))
        return url


def _host(url: str) -> str:
    """Host and port of ``url`` as a registry is named: without user information and without a default port."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2].lower().removesuffix(_DEFAULT_PORTS.get(parts.scheme, ""))
