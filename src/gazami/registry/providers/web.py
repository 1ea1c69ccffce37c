"""Small questions to cloud services over HTTP: token endpoints on the network, metadata services next to the machine."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit

from gazami.errors import RegistryError
from gazami.foreign import read_json
from gazami.registry.exchange import Request, Response
from gazami.registry.faults import ConnectionFault
from gazami.registry.providers.grant import Unavailable
from gazami.registry.routing import Trust
from gazami.registry.transport import Transport
from gazami.registry.wire import parse_error, redact

Headers = tuple[tuple[str, str], ...]

METADATA_CONNECT = 1.0
"""Seconds: a metadata service is one hop away, or there is none."""

_METADATA_READ = 5.0
_SERVICE_READ = 30.0
_MOST = 1 << 20
_ATTEMPTS = 3
_EXTRAS = {"aws": "boto3", "gcp": "google-auth requests cryptography"}


class Web:
    """``trust`` is for services on the network (``AWS_CA_BUNDLE``)."""

    def __init__(self, transport: Transport, trust: Trust | None = None) -> None:
        self._transport = transport
        self._trust = trust or Trust()

    def ask(self, method: str, url: str, headers: Headers = (), body: bytes | None = None, *, metadata: bool = False) -> bytes:
        """The body of a 200 answer. ``metadata`` services are asked without a proxy and with a short timeout.

        Raises :class:`Unavailable` with the host and its answer, never with the request.
        """
        host = urlsplit(url).netloc.rpartition("@")[2]
        if urlsplit(url).scheme not in ("http", "https") or not host:
            raise Unavailable(f"the endpoint {redact(url)[:100]!r} is not an http or https URL")
        request = Request(
            method,
            url,
            headers,
            body,
            timeout=_METADATA_READ if metadata else _SERVICE_READ,
            connect_timeout=METADATA_CONNECT if metadata else None,
            direct=metadata,
        )
        try:
            response = self._answer(request, metadata=metadata)
            with response:
                if response.status == 200:
                    return response.read(_MOST)
                said = "; ".join(str(each) for each in parse_error(response.read_some()))
        except RegistryError as error:
            reason = error.cause if isinstance(error, ConnectionFault) else error.message
            raise Unavailable(f"{host}: {reason}") from None
        raise Unavailable(f"{host} answered with status {response.status}" + (f", {said[:300]}" if said else ""))

    def json(
        self, method: str, url: str, headers: Headers = (), body: bytes | None = None, *, metadata: bool = False
    ) -> dict[str, Any]:
        """As :meth:`ask`, for an answer that is a JSON object."""
        raw = self.ask(method, url, headers, body, metadata=metadata)
        try:
            document = read_json(raw)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Unavailable(f"{urlsplit(url).netloc} did not answer with a JSON object")
        return document

    def form(self, url: str, fields: dict[str, str]) -> dict[str, Any]:
        """POST a form and read a JSON object."""
        headers = (("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json"))
        return self.json("POST", url, headers, urlencode(fields).encode())

    def _answer(self, request: Request, *, metadata: bool) -> Response:
        """Trouble of the moment is met with two more attempts. A metadata service that has no name or swallows packets
        does not exist; one that refuses connections is just starting, as GKE's does beside a new pod."""

        def attempt() -> Response:
            try:
                return self._transport.exchange(request, Trust() if metadata else self._trust)
            except ConnectionFault as fault:
                if metadata and (fault.kind == "timeout" or (fault.kind == "connect" and "refused" not in fault.cause)):
                    raise Unavailable(f"{fault.host}: {fault.cause}") from None
                raise

        return self._transport.persist(attempt, _ATTEMPTS)


def text_of(document: dict[str, Any], name: str, whose: str) -> str:
    """A text that has to be in an answer. Raises :class:`Unavailable`."""
    value = document.get(name)
    if not isinstance(value, str) or not value or "\n" in value or "\r" in value:
        raise Unavailable(f"{whose} has no {name}")
    return value


def seconds_of(document: dict[str, Any], name: str, otherwise: float) -> float:
    try:
        return float(document.get(name) or otherwise)
    except (TypeError, ValueError):
        return otherwise


def read_secret(path: str, what: str) -> str:
    """A file that holds a token or a key. Raises :class:`Unavailable` naming it."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(_MOST).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Unavailable(f"cannot read {what} {path}: {reason}") from None


def missing_extra(extra: str, what: str) -> Unavailable:
    """``extra`` is gazami's in pyproject.toml; the packages are named, since gazami is on no index."""
    return Unavailable(f"{what} needs more Python packages: pip install {_EXTRAS[extra]}")
