"""Spans of a build for OpenTelemetry, sent when it has ended: only where the environment names a receiver.

The variables are those of every OpenTelemetry program: ``OTEL_EXPORTER_OTLP_ENDPOINT`` or ``…_TRACES_ENDPOINT``, ``…_HEADERS``,
``…_TIMEOUT``, ``OTEL_SERVICE_NAME``, ``OTEL_RESOURCE_ATTRIBUTES``, ``OTEL_SDK_DISABLED``, ``OTEL_TRACES_EXPORTER``. ``TRACEPARENT``
is the span that the build is a part of. A receiver that does not answer costs a warning and some seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from gazami import __version__
from gazami.errors import GazamiError
from gazami.events import Message
from gazami.values import fast_dataclass

if TYPE_CHECKING:
    from gazami.events import Emit
    from gazami.report.written.spans import Parent
    from gazami.report.written.timeline import Timeline

_OTLP = "OTEL_EXPORTER_OTLP_"
_TIMEOUT = 5.0
"""Seconds; SDKs wait ten, in the background. A build's end is waited for."""
_MOST_WAIT = 30.0


@fast_dataclass(frozen=True, slots=True)
class Receiver:
    """Where spans go."""

    url: str
    headers: tuple[tuple[str, str], ...]
    timeout: float
    resource: Mapping[str, str]
    parent: Parent
    proxies: tuple[tuple[str, str], ...]


def wants_spans(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a receiver. Imports nothing."""
    named = environ.get(f"{_OTLP}TRACES_ENDPOINT") or environ.get(f"{_OTLP}ENDPOINT")
    return bool(named) and environ.get("OTEL_SDK_DISABLED", "").lower() != "true" and environ.get("OTEL_TRACES_EXPORTER") != "none"


def receiver(environ: Mapping[str, str]) -> Receiver:
    from gazami.cli.request.registry import proxies
    from gazami.report.written.spans import parent_of

    base = environ.get(f"{_OTLP}ENDPOINT", "").rstrip("/")
    resource = {"service.name": "gazami", "service.version": __version__, **_pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))}
    if name := environ.get("OTEL_SERVICE_NAME"):
        resource["service.name"] = name
    return Receiver(
        environ.get(f"{_OTLP}TRACES_ENDPOINT") or f"{base}/v1/traces",
        tuple(_pairs(environ.get(f"{_OTLP}TRACES_HEADERS") or environ.get(f"{_OTLP}HEADERS", "")).items()),
        _seconds(environ.get(f"{_OTLP}TRACES_TIMEOUT") or environ.get(f"{_OTLP}TIMEOUT", "")),
        resource,
        parent_of(environ.get("TRACEPARENT", "")),
        proxies(environ),
    )


def _pairs(text: str) -> dict[str, str]:
    """``key=value,key=value``, percent-encoded, as the specification has headers and attributes."""
    pairs = (each.partition("=") for each in text.split(","))
    return {unquote(key.strip()): unquote(value.strip()) for key, equals, value in pairs if equals and key.strip()}


def _seconds(text: str) -> float:
    """From milliseconds."""
    return min(_MOST_WAIT, int(text) / 1000) if text.isdecimal() and int(text) else _TIMEOUT


@contextlib.contextmanager
def tracing(
    environ: Mapping[str, str], emit: Emit, note_error: Callable[[GazamiError], None]
) -> Iterator[tuple[Emit, Callable[[GazamiError], None]]]:
    """What to call with each event and with the error of the build; the spans are sent at the end, unless whoever began the trace
    does not keep it."""
    from gazami.report.written.timeline import Timeline, listening

    where = receiver(environ)
    if (environ.get(f"{_OTLP}TRACES_PROTOCOL") or environ.get(f"{_OTLP}PROTOCOL")) == "grpc":
        emit(Message("warning", "spans are sent over HTTP and not by gRPC: name the receiver's port for that, usually 4318"))
    timeline, errors, began = Timeline(), list[GazamiError](), time.time_ns()
    yield listening(timeline, errors, emit, note_error)
    if where.parent.sampled:
        try:
            _send(where, _body(where, timeline, began, errors[0] if errors else None))
        except GazamiError as error:
            emit(Message("warning", f"no spans were sent to {where.url.partition('?')[0]}: {error.message}"))


def _body(where: Receiver, timeline: Timeline, began: int, error: GazamiError | None) -> bytes:
    from gazami.report.written.build_summary import document
    from gazami.report.written.spans import export_request, spans

    ids = iter(lambda: os.urandom(8).hex(), "")
    found = spans(document(timeline, "", error), where.parent, os.urandom(16).hex(), began, ids)
    return json.dumps(export_request(found, where.resource), separators=(",", ":")).encode()


def _send(where: Receiver, body: bytes) -> None:
    """Raises :class:`GazamiError`. It is sent once: spans are not worth a build's time."""
    from gazami.cancel import Cancel
    from gazami.errors import RegistryError
    from gazami.registry.exchange import Request
    from gazami.registry.options import RegistryOptions
    from gazami.registry.routing import Trust
    from gazami.registry.transport import Transport

    options = RegistryOptions(proxies=where.proxies, connect_timeout=where.timeout, read_timeout=where.timeout)
    transport = Transport(options, lambda _: None, Cancel())
    try:
        request = Request("POST", where.url, (("Content-Type", "application/json"), *where.headers), body)
        with transport.persist(lambda: transport.exchange(request, Trust()), 1) as response:
            if response.status >= 300:
                raise RegistryError(f"status {response.status}")
    finally:
        transport.close()
