"""Why one attempt had no answer: the errors of urllib3 and of sockets as one error that says what to do next."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from http.client import HTTPException, InvalidURL
from typing import Literal

from gazami.cancel import Cancel
from gazami.errors import TransportError
from gazami.foreign import printable
from gazami.registry.routing import is_loopback
from gazami.registry.wire import host_in, redact

_FINAL = ("certificate", "refused")
_OBJECT = re.compile(r"<[^<>]* at 0x[0-9a-f]+>:? ?|[\w.]+\(host='[^']*', port=[^)]*\):? ?")
"""What urllib3 puts before a reason: an object as Python shows it."""

FaultKind = Literal["connect", "refused", "tls", "certificate", "cut", "timeout"]
"""``refused`` is a proxy that will not have us; like ``certificate``, trying again does not help."""


class ConnectionFault(TransportError):
    """One attempt without an answer, or with half of one. Leaves this package as a plain TransportError."""

    def __init__(self, kind: FaultKind, cause: str, url: str) -> None:
        host, cause = host_in(url), _OBJECT.sub("", cause)
        super().__init__(f"{host}: {cause}", url=redact(url), hint=_hint(kind, cause, host))
        self.kind: FaultKind = kind
        self.cause = cause
        self.host = host

    @property
    def is_final(self) -> bool:
        """Whether another attempt meets it again."""
        return self.kind in _FINAL or self.is_plain

    @property
    def is_nobody(self) -> bool:
        """Whether nothing listens there at all, on this very machine: a typing error, or a registry that is not up yet."""
        return self.kind == "connect" and "connection refused" in self.cause and is_loopback(self.host)

    @property
    def is_plain(self) -> bool:
        """Whether TLS failed since the other side does not speak it at all."""
        return self.kind == "tls" and _is_plain(self.cause)

    def after(self, attempts: int, what: str = "") -> TransportError:
        """The error to show once there will be no further attempt; ``what`` could not be done."""
        tried = f" after {attempts} attempts" if attempts > 1 else ""
        message = f"{self.url}: {self.cause}{tried}"
        return TransportError(f"{what}: {message}" if what else message, url=self.url, hint=self.hint)


class translated:
    """A context in which the errors of urllib3 and of sockets become :class:`ConnectionFault`; or :class:`Cancelled`, where that is
    why the connection ended."""

    __slots__ = ("_cancel", "_url")

    def __init__(self, url: str, cancel: Cancel) -> None:
        self._url, self._cancel = url, cancel

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from urllib3.exceptions import HTTPError

        if isinstance(error, (HTTPError, OSError, HTTPException)):
            self._cancel.check()
            raise ConnectionFault(*_diagnose(error), self._url) from error
        if isinstance(error, ValueError):  # a name that IDNA refuses, a header that is not Latin-1
            raise ConnectionFault("refused", "cannot send the address or a header", self._url) from error


def _diagnose(error: BaseException) -> tuple[FaultKind, str]:
    from urllib3 import exceptions

    chain = list(_causes(error))
    for each in chain:
        if isinstance(each, ssl.SSLCertVerificationError):
            if isinstance(error, exceptions.ProxyError):
                return "refused", f"the proxy's certificate is not trusted: {each.verify_message or each.reason}"
            return "certificate", f"its certificate is not trusted: {each.verify_message or each.reason}"
    for each in chain:
        if isinstance(each, (ssl.SSLError, exceptions.SSLError)):
            return "tls", f"TLS failed: {getattr(each, 'reason', None) or each}"
    if isinstance(error, exceptions.ProxyError):
        said = str(chain[-1])
        kind: FaultKind = "refused" if re.search(r"failed: 4\d\d", said) else "connect"
        return kind, f"cannot use the proxy: {said}"
    if isinstance(error, (exceptions.LocationValueError, InvalidURL)):
        return "refused", "cannot connect to the address"
    if isinstance(error, exceptions.NameResolutionError):
        return "connect", "cannot resolve its name"
    if isinstance(error, exceptions.NewConnectionError):
        reason = next((each.strerror for each in chain if isinstance(each, OSError) and each.strerror), None)
        return "connect", (reason or "no connection").lower()
    if isinstance(error, exceptions.ConnectTimeoutError):
        return "connect", "timed out while connecting"
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return "timeout", "timed out while waiting for an answer"
    return "cut", f"the connection was cut ({printable(str(chain[-1]))[:300]})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what lies beneath it, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        inner = next((arg for arg in current.args if isinstance(arg, BaseException)), None)
        current = inner or current.__cause__ or current.__context__


def _is_plain(cause: str) -> bool:
    return "WRONG_VERSION" in cause or "RECORD_LAYER" in cause or "wrong version" in cause


def _hint(kind: FaultKind, cause: str, host: str) -> str | None:
    if kind == "certificate" and "expired" in cause:
        return f"renew its certificate, or set this machine's clock; --skip-tls-verify-registry {host}"
    if kind == "certificate" and "ismatch" in cause:
        return f"use the name that the certificate is for, or --skip-tls-verify-registry {host}"
    if kind == "certificate":
        return f"trust its authority with --registry-certificate {host}=<file>, or --skip-tls-verify-registry {host}"
    if kind == "tls" and _is_plain(cause):
        return f"if it speaks plain HTTP, add --insecure-registry {host}"
    if kind == "tls" and "ALERT" in cause and ("CERTIFICATE" in cause or "UNKNOWN_CA" in cause or "HANDSHAKE" in cause):
        return f"give the client certificate that it asks for: --registry-client-cert {host}=<certificate>,<key>"
    if kind == "refused" and "certificate" in cause:
        return "trust its authority with SSL_CERT_FILE or SSL_CERT_DIR"
    if kind == "refused":
        return "check the user, the password and what the proxy allows: HTTPS_PROXY, or NO_PROXY to go around it"
    if kind == "connect" and "resolve its name" in cause:
        return "check the spelling of the registry's name and the network's DNS"
    if kind == "connect" and "connection refused" in cause:
        return f"nothing listens at {host}: check the port, and whether the registry runs"
    return None
