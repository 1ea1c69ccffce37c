"""A server that redirects, and listens to who proves who he is."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme


@dataclass
class Web:
    url: str
    authority: str = ""
    to: str = ""
    authorizations: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextmanager
def web(place: Path, *, to: str = "", asks: bool, tls: bool = False) -> Iterator[Web]:
    """A server that asks for a password if ``asks``, then redirects to ``to`` (or has nothing)."""
    found = Web("", to=to)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization")
            found.paths.append(self.path)
            if given:
                found.authorizations.append(given)
            if asks and not given:
                self.answer(401, "WWW-Authenticate", 'Basic realm="git"')
            elif found.to:
                self.answer(302, "Location", found.to + self.path)
            else:
                self.answer(404, "X-Nothing", "here")

        def answer(self, status: int, name: str, value: str) -> None:
            self.send_response(status)
            self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        made = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        found.authority = str(place / "listener.pem")
        made.cert_pem.write_to_path(found.authority)
    found.url = f"http{'s' if tls else ''}://localhost:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
