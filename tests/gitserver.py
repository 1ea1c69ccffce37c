"""Git over http(s) for tests: ``git http-backend`` behind a small server, with a token for what lies below ``/private``."""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class GitServer:
    """``host`` is as a URL has it; ``root`` holds bare repositories; ``authority`` is a PEM file where it speaks TLS."""

    host: str
    root: Path
    authority: str
    seen: list[str]
    authorizations: list[str] = field(default_factory=list)
    """Every password that came."""


@contextmanager
def git_server(place: Path, users: tuple[tuple[str, str], ...] = (), *, tls: bool = True) -> Iterator[GitServer]:
    root = place / "repositories"
    root.mkdir(parents=True)
    wanted = {base64.b64encode(f"{user}:{password}".encode()).decode() for user, password in users}
    seen: list[str] = []
    authorizations: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def serve(self) -> None:
            path, _, query = self.path.partition("?")
            seen.append(self.path)
            authorizations.extend(self.headers.get_all("Authorization") or ())
            if path.startswith("/private/") and self.headers.get("Authorization", "")[6:] not in wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            environ = {
                "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
                "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""), "REMOTE_ADDR": "127.0.0.1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*", "HOME": str(root),
            }  # fmt: skip
            done = subprocess.run(["git", "http-backend"], input=body, env=environ, capture_output=True, check=False)
            head, _, data = done.stdout.partition(b"\r\n\r\n")
            fields = [line.split(": ", 1) for line in head.decode().splitlines()]
            status = next((value for key, value in fields if key == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for key, value in fields:
                if key != "Status":
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = serve

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    authority = ""
    if tls:
        made = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        authority = str(place / "ca.pem")
        made.cert_pem.write_to_path(authority)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield GitServer(f"localhost:{server.server_port}", root, authority, seen, authorizations)
    finally:
        server.shutdown()
        server.server_close()


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always", *arguments],
        cwd=folder, check=True, capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )  # fmt: skip
    return done.stdout.strip()


def repository(bare: Path, files: dict[str, str]) -> str:
    """A bare repository with a commit on main, a tag v1, a branch other with one more, and a ref of a pull request; the hash
    of the first commit."""
    work = bare.with_name(bare.name + "-work")
    work.mkdir(parents=True)
    git(work, "init", "-q", "-b", "main")
    for name, text in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "first")
    first = git(work, "rev-parse", "HEAD")
    git(work, "tag", "v1")
    for branch in ("other", "pull"):
        git(work, "checkout", "-q", "-b", branch, "main")
        (work / "which").write_text(branch)
        git(work, "commit", "-q", "-am", branch)
    git(work, "update-ref", "refs/pull/7/head", "pull")
    git(work, "checkout", "-q", "main")
    (work / "which").write_text("second")
    git(work, "commit", "-q", "-am", "second")
    git(work, "branch", "-q", "-D", "pull")
    git(bare.parent, "clone", "-q", "--mirror", str(work), str(bare))
    git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")
    return first
