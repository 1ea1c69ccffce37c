"""A second registry for tests, in memory, which keeps to the letter where Debian's docker-registry is lenient.

It answers 416 to a Range, 416 to a PATCH that is not at the end of what it has, 400 when it is asked about an upload, 202
or 404 to a mount, and leaves out headers that a client may not rely on. ``Quirks`` chooses.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.loopback import serving

_IMAGE_CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs/uploads|blobs|tags)/?(?P<rest>[^/]*)\Z")


@dataclass(frozen=True, slots=True)
class Manners:
    """What a product of this world adds to the protocol; answers are a status with the body of an error. ``moved`` answers a push
    to a tag that names something else, ``unsigned`` a pull of what is no image, ``deleted`` each DELETE, ``artifact`` a push of
    what is no image. ``below`` begins every path of a repository; ``missing`` answers for repositories that nobody has made."""

    moved: tuple[int, str] | None = None
    unsigned: tuple[int, str] | None = None
    deleted: tuple[int, str] | None = None
    artifact: tuple[int, str] | None = None
    missing: tuple[int, str] | None = None
    below: str = ""


@dataclass(frozen=True, slots=True)
class Quirks:
    """``mount`` is the status of a mount, ``location`` how addresses of uploads are written, ``heads`` whether HEAD is
    known, ``digests`` whether Docker-Content-Digest is sent, ``least`` the OCI-Chunk-Min-Length, ``most`` the largest
    body that is taken."""

    mount: int = 202
    location: str = "/v2/{name}/blobs/uploads/{session}?_state=a%2Bb%3D"
    heads: bool = True
    digests: bool = False
    least: int = 0
    most: int = 1 << 30
    silence: str = ""
    """Requests that are never answered: a pattern of ``METHOD path``. Their body is not read."""
    half: bool = False
    """Of such a request the first half of the answer comes, where there is one."""
    token: bool = False
    """Wants a token of its own ``/token`` for everything."""
    denied: str = ""
    """Requests that are refused with 403: a pattern like ``silence``."""
    manners: Manners = field(default_factory=lambda: Manners())


@dataclass(slots=True)
class StrictRegistry:
    host: str
    quirks: Quirks
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    sessions: Iterator[int] = field(default_factory=itertools.count)
    seen: list[tuple[str, str, int]] = field(default_factory=list)
    """``(method, path, status)``."""
    silent: threading.Event = field(default_factory=threading.Event)
    """Set when a request came that is never answered."""
    over: threading.Event = field(default_factory=threading.Event)
    before: Callable[[str], None] = lambda _: None
    """Is called with ``METHOD path`` before a request is looked at: it may wait for another one."""
    made: set[str] = field(default_factory=set)
    """Repositories that somebody has made."""


@contextmanager
def strict_registry(quirks: Quirks) -> Iterator[StrictRegistry]:
    with serving(_Handler) as server:
        state = StrictRegistry(f"127.0.0.1:{server.server_port}", quirks)
        server.state = state  # type: ignore[attr-defined]
        try:
            yield state
        finally:
            state.over.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        self._query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        found = _PATH.match(parts.path)
        self._state: StrictRegistry = self.server.state
        self._quiet = self._is_like(self._state.quirks.silence)
        if self._quiet and not self._state.quirks.half:
            return self._hang()
        self._body = self._read()
        self._state.before(f"{self.command} {self.path}")
        if self._is_like(self._state.quirks.denied):
            return self._answer(403, b'{"errors": [{"code": "DENIED"}]}')
        if self._state.quirks.token and "Authorization" not in self.headers:
            return self._challenge(parts.path)
        if self.command == "HEAD" and not self._state.quirks.heads:
            return self._answer(405)
        if found is None:
            return self._answer(200 if parts.path == "/v2/" else 404)
        name, rest = found["name"], found["rest"]
        if (refused := self._ill_mannered(name, rest, found["kind"])) is not None:
            return self._answer(refused[0], refused[1].encode())
        match found["kind"]:
            case "manifests":
                return self._manifest(name, rest)
            case "blobs":
                return self._blob(name, rest)
            case "blobs/uploads":
                return self._upload(name, rest)
        return self._answer(404)

    def _ill_mannered(self, name: str, rest: str, kind: str) -> tuple[int, str] | None:
        """How the product refuses a request that the protocol allows."""
        manners, state = self._state.quirks.manners, self._state
        if not name.startswith(manners.below):
            return 404, '{"errors": [{"code": "NAME_UNKNOWN"}]}'
        if manners.missing and name not in state.made:
            return manners.missing
        if self.command == "DELETE":
            return manners.deleted
        if kind != "manifests":
            return None
        stored = state.manifests.get((name, rest))
        if self.command == "PUT":
            if manners.moved and stored and stored[1] != self._body:
                return manners.moved
            return None if _is_image(self._body) else manners.artifact
        return None if stored is None or _is_image(stored[1]) else manners.unsigned

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _is_like(self, pattern: str) -> bool:
        return bool(pattern) and re.search(pattern, f"{self.command} {self.path}") is not None

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _hang(self) -> None:
        self._state.silent.set()
        self._state.over.wait(120)
        self.close_connection = True

    def _challenge(self, path: str) -> None:
        if path == "/token":
            return self._answer(200, b'{"token": "t"}')
        realm = f'Bearer realm="http://{self._state.host}/token",service="s"'
        return self._answer(401, b"", {"WWW-Authenticate": realm})

    def _manifest(self, name: str, reference: str) -> None:
        if self.command == "PUT":
            value = (self.headers["Content-Type"], self._body)
            for key in (reference, _digest(self._body)):
                self._state.manifests[name, key] = value
            return self._answer(201)
        stored = self._state.manifests.get((name, reference))
        if stored is None:
            return self._answer(404)
        headers = {"Content-Type": stored[0]}
        if self._state.quirks.digests:
            headers["Docker-Content-Digest"] = _digest(stored[1])
        return self._answer(200, stored[1], headers)

    def _blob(self, name: str, digest: str) -> None:
        data = self._state.blobs.get((name, digest))
        if data is None:
            return self._answer(404)
        return self._answer(416) if "Range" in self.headers else self._answer(200, data)

    def _upload(self, name: str, session: str) -> None:
        quirks, uploads = self._state.quirks, self._state.uploads
        if self.command == "POST":
            if "mount" in self._query and quirks.mount != 202:
                data = self._state.blobs.get((self._query["from"], self._query["mount"]))
                if quirks.mount == 201 and data is not None:
                    self._state.blobs[name, self._query["mount"]] = data
                return self._answer(quirks.mount if data is not None else 404)
            session = f"s{next(self._state.sessions)}"
            uploads[session] = b""
            headers = {"OCI-Chunk-Min-Length": str(quirks.least)} if quirks.least else {}
            return self._answer(202, b"", {**self._location(name, session), **headers})
        if session not in uploads:
            return self._answer(404)
        if self.command == "PATCH":
            return self._piece(name, session)
        if self.command == "PUT":
            data = uploads.pop(session) + self._body
            if _digest(data) != self._query.get("digest"):
                return self._answer(400, b'{"errors": [{"code": "DIGEST_INVALID"}]}')
            self._state.blobs[name, _digest(data)] = data
            return self._answer(201)
        return self._answer(400)

    def _piece(self, name: str, session: str) -> None:
        quirks, data = self._state.quirks, self._state.uploads[session]
        if len(self._body) > quirks.most:
            return self._answer(413)
        start = int((self.headers.get("Content-Range") or "0").partition("-")[0])
        if start != len(data):
            return self._answer(416)
        self._state.uploads[session] = data = data + self._body
        return self._answer(202, b"", {**self._location(name, session), "Range": f"0-{len(data) - 1}"})

    def _location(self, name: str, session: str) -> dict[str, str]:
        text = self._state.quirks.location.format(host=self._state.host, name=name, session=session)
        return {"Location": text}

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self._state.seen.append((self.command, urlsplit(self.path).path, status))
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self._quiet:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self._hang()
        elif self.command != "HEAD":
            self.wfile.write(body)


def _is_image(manifest: bytes) -> bool:
    document = json.loads(manifest)
    return "manifests" in document or document["config"]["mediaType"] in _IMAGE_CONFIGS


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
