"""A proxy in front of a registry that misbehaves as told: each fault is for some requests, and for so many times."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import TypeAlias

from tests.loopback import serving


@dataclass(frozen=True, slots=True)
class Canned:
    """Answer this instead of asking the registry; ``{here}`` in header values is the proxy's own address."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class CutAnswer:
    """Send only the first ``after`` bytes of the registry's body, then reset the connection."""

    after: int


@dataclass(frozen=True, slots=True)
class CutUpload:
    """Pass on only the first ``after`` bytes of the request's body, then reset the connection."""

    after: int


@dataclass(frozen=True, slots=True)
class KnowsUpload:
    """Tell the state of an upload that :class:`CutUpload` cut; Debian's docker-registry cannot after a cut."""


@dataclass(frozen=True, slots=True)
class SwallowAnswer:
    """Let the registry do what it is asked, then reset the connection instead of telling."""


@dataclass(frozen=True, slots=True)
class Corrupt:
    """Change one byte of the registry's body, or add ``extra`` to it under a fitting Content-Length-less answer."""

    extra: bytes = b""


@dataclass(frozen=True, slots=True)
class DropRequestHeader:
    name: str


@dataclass(frozen=True, slots=True)
class DropAnswerHeaders:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slow:
    """Answer as the registry does, so many seconds later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class WrongLength:
    """Send the registry's body with so many bytes more or less than it has, under a Content-Length that fits."""

    more: int


@dataclass(frozen=True, slots=True)
class CorruptUpload:
    """Change one byte of the request's body, in its middle."""


@dataclass(frozen=True, slots=True)
class RedirectTo:
    """307 to the same path on another host."""

    host: str


Kind: TypeAlias = (
    Canned
    | CutAnswer
    | CutUpload
    | KnowsUpload
    | SwallowAnswer
    | Corrupt
    | DropRequestHeader
    | DropAnswerHeaders
    | Slow
    | WrongLength
    | RedirectTo
    | CorruptUpload
)


@dataclass(slots=True)
class Fault:
    """``path`` is a regular expression searched in the request's target; ``times`` None means always."""

    method: str
    path: str
    kind: Kind
    times: int | None = 1
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    method: str
    target: str
    headers: Message


@dataclass(slots=True)
class FaultyRegistry:
    host: str
    upstream: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    cut: tuple[tuple[str, str], ...] = ()
    lock: threading.Lock = field(default_factory=threading.Lock)
    gate: Callable[[], None] = lambda: None
    """Called before a request is passed on."""

    def add(self, method: str, path: str, kind: Kind, *, times: int | None = 1, skip: int = 0) -> None:
        self.faults.append(Fault(method, path, kind, times, skip))

    def count(self, method: str, path: str = "") -> int:
        return sum(1 for each in self.seen if each.method == method and re.search(path, each.target))

    def take(self, method: str, target: str) -> Kind | None:
        with self.lock:
            for fault in self.faults:
                if fault.method == method and re.search(fault.path, target) and fault.times != 0:
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    if fault.times is not None:
                        fault.times -= 1
                    return fault.kind
        return None


@contextmanager
def faulty(upstream: str = "") -> Iterator[FaultyRegistry]:
    """``upstream`` is the host and port of a plain-HTTP registry; without one, only canned answers are possible."""
    with serving(_Handler) as server:
        state = FaultyRegistry(f"127.0.0.1:{server.server_port}", upstream)
        server.state = state  # type: ignore[attr-defined]
        yield state


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def _serve(self) -> None:
        state: FaultyRegistry = self.server.state
        state.seen.append(Seen(self.command, self.path, self.headers))
        state.gate()
        kind = state.take(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if isinstance(kind, CutUpload):
            _, answered, _ = self._forward(self.rfile.read(min(kind.after, length)), {})
            state.cut = tuple(pair for pair in answered if pair[0].lower() in ("location", "range"))
            return self._reset()
        if isinstance(kind, KnowsUpload):
            return self._canned(Canned(204, state.cut))
        body = self.rfile.read(length)
        if isinstance(kind, Canned):
            return self._canned(kind)
        if isinstance(kind, RedirectTo):
            return self._canned(Canned(307, (("Location", f"http://{kind.host}{self.path}"),)))
        if isinstance(kind, Slow):
            time.sleep(kind.seconds)
        if isinstance(kind, CorruptUpload):
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        drop = kind.name.lower() if isinstance(kind, DropRequestHeader) else ""
        status, headers, data = self._forward(body, {drop: None})
        if isinstance(kind, SwallowAnswer):
            return self._reset()
        if isinstance(kind, DropAnswerHeaders):
            headers = [(name, value) for name, value in headers if name.lower() not in kind.names]
        if isinstance(kind, Corrupt):
            data = data + kind.extra if kind.extra else bytes([data[0] ^ 1]) + data[1:]
        if isinstance(kind, WrongLength):
            data = data + b" " * kind.more if kind.more > 0 else data[: kind.more]
            headers = [pair for pair in headers if pair[0].lower() != "content-length"]
        return self._relay(status, headers, data, kind)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _forward(self, body: bytes, dropped: dict[str, None]) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.state.upstream, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
        headers["Content-Length"] = str(len(body))
        if self.command in ("GET", "HEAD"):
            del headers["Content-Length"]
        connection.request(self.command, self.path, body or None, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.getheaders(), data

    def _canned(self, kind: Canned) -> None:
        self.send_response(kind.status)
        for name, value in kind.headers:
            self.send_header(name, value.replace("{here}", f"http://{self.server.state.host}"))
        self.send_header("Content-Length", str(len(kind.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(kind.body)

    def _relay(self, status: int, headers: list[tuple[str, str]], data: bytes, kind: Kind | None) -> None:
        chunked = isinstance(kind, Corrupt) and bool(kind.extra)
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("date", "server", "connection", "transfer-encoding") and not (
                chunked and name.lower() == "content-length"
            ):
                self.send_header(name, value)
        if chunked:
            self.send_header("Connection", "close")
            self.close_connection = True
        elif not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(kind, CutAnswer):
            self.wfile.write(data[: kind.after])
            self.wfile.flush()
            self._end_without_goodbye()
        else:
            self.wfile.write(data)

    def _end_without_goodbye(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_WR)

    def _reset(self) -> None:
        """RST instead of FIN."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
