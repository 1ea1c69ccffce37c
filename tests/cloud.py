"""A cloud that answers as it is told and remembers what it was asked: token endpoints and metadata services for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.loopback import serving


@dataclass(frozen=True, slots=True)
class Asked:
    """``path`` is without its query, headers have lower-case names."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(self.body.decode()).items()}


Answer = str | bytes | dict[str, Any] | tuple[int, str]


@dataclass(slots=True)
class Cloud:
    """``answers`` by ``"METHOD /path"``: a text, an object for JSON, a status with a text, or a function of what was
    asked. Everything else is 404."""

    host: str
    url: str
    answers: dict[str, Answer | Callable[[Asked], Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def count(self, path: str) -> int:
        return sum(each.path == path for each in self.asked)


@contextmanager
def cloud() -> Iterator[Cloud]:
    with serving(_Handler) as server:
        host = f"127.0.0.1:{server.server_port}"
        state = Cloud(host, f"http://{host}")
        server.state = state  # type: ignore[attr-defined]
        yield state


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length") or 0))
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        asked = Asked(self.command, parts.path, query, headers, body)
        state: Cloud = self.server.state
        state.asked.append(asked)
        answer = state.answers.get(f"{self.command} {parts.path}", (404, "there is nothing"))
        if callable(answer):
            answer = answer(asked)
        status, text = answer if isinstance(answer, tuple) else (200, answer)
        data = json.dumps(text).encode() if isinstance(text, dict) else text.encode() if isinstance(text, str) else text
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _serve
