"""One attempt to get an answer: a request over a connection, with TLS, through a proxy, within timeouts.

:meth:`Connections.exchange` raises :class:`ConnectionFault` when no answer came. Imported with the first request of a build, and
urllib3 with it, since they cost a large part of the program's start.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from gazami.cancel import Cancel
from gazami.errors import RegistryError, TransportError
from gazami.registry.connections import Current, Watch, connected, pool_classes, watched
from gazami.registry.faults import translated
from gazami.registry.proxy import choose_proxy
from gazami.registry.routing import Trust
from gazami.registry.tls import tls_context
from gazami.registry.wire import redact
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

    from gazami.registry.options import RegistryOptions

CHUNK = 1024 * 1024
"""Bytes read or written at once."""

_DRAINED = 64 * 1024
_GREETING = 5.0
"""Seconds."""

_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})


@fast_dataclass(frozen=True, slots=True)
class Body:
    """``length`` bytes that ``open`` gives from the start each time it is called; None is not known before the end."""

    length: int | None
    open: Callable[[], Iterator[bytes]]


@fast_dataclass(frozen=True, slots=True)
class Request:
    """``timeout`` and ``connect_timeout`` in seconds override the options'; ``direct`` goes around any proxy.

    The repr has neither headers nor body, which may hold secrets.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes | Body | None = field(default=None, repr=False)
    timeout: float | None = None
    connect_timeout: float | None = None
    direct: bool = False


class Response:
    """An answer whose body is still on the wire. A context manager; closing it gives the connection back."""

    __slots__ = ("_cancel", "_held", "_raw", "body", "status", "url")

    def __init__(self, raw: BaseHTTPResponse, url: str, cancel: Cancel, held: contextlib.ExitStack) -> None:
        """``held`` is what ends the reading when ``cancel`` is set."""
        self._raw = raw
        self._cancel, self._held = cancel, held
        self.status = raw.status
        self.body = b""
        self.url = url

    def header(self, name: str) -> str | None:
        return self._raw.headers.get(name)

    def headers(self, name: str) -> list[str]:
        return self._raw.headers.getlist(name)

    def chunks(self) -> Iterator[bytes]:
        """The body, at most ``CHUNK`` bytes at a time. Raises :class:`ConnectionFault` when it is cut."""
        stream = self._raw.stream(CHUNK, decode_content=False)
        while True:
            with translated(self.url, self._cancel):
                chunk = next(stream, None)
            if chunk is None:
                self._cancel.check()  # a body without a length ends where its connection does
                return
            yield chunk

    def read(self, limit: int) -> bytes:
        """The whole body. Raises :class:`RegistryError` when it is larger than ``limit`` bytes."""
        parts: list[bytes] = []
        size = 0
        for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise RegistryError(f"{redact(self.url)}: the answer is larger than {limit} bytes", url=redact(self.url))
            parts.append(chunk)
        return b"".join(parts)

    def read_some(self, limit: int = _DRAINED) -> bytes:
        """The start of an error's body; empty when it cannot be read."""
        try:
            with translated(self.url, self._cancel):
                return self._raw.read(limit, decode_content=False)
        except TransportError:
            return b""

    def close(self) -> None:
        with self._held:
            left = self._raw.length_remaining
            if left is not None and left <= _DRAINED and not self._cancel.is_set:
                self._raw.drain_conn()
                self._raw.release_conn()
            else:
                self._raw.close()

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Connections:
    """Connections to every host that a build speaks to; safe to use from several threads."""

    def __init__(self, options: RegistryOptions) -> None:
        self._options = options
        self._local = threading.local()
        self._lock = threading.Lock()
        self._pools: dict[tuple[Trust, str | None, bool], PoolManager] = {}

    def _watch(self) -> Watch | None:
        return getattr(self._local, "watch", None)

    @contextlib.contextmanager
    def _watching(self, watch: Watch) -> Iterator[None]:
        """The calling thread is in an exchange; the body of one may come from another one."""
        kept, self._local.watch = self._watch(), watch
        try:
            yield
        finally:
            self._local.watch = kept

    def exchange(self, request: Request, trust: Trust, cancel: Cancel) -> Response:
        """One attempt; the status may be any. Raises :class:`ConnectionFault` when no answer came."""
        from urllib3 import Timeout

        cancel.check()
        proxy = None if request.direct else choose_proxy(request.url, self._options.proxies)
        pool = self._pool(trust, proxy, secure=request.url.startswith("https:"))
        headers = {"User-Agent": self._options.user_agent, **dict(request.headers)}
        body: bytes | Iterator[bytes] | None
        if isinstance(request.body, Body):
            if request.body.length is not None:
                headers["Content-Length"] = str(request.body.length)
            body = request.body.open()
        else:
            body = request.body
            if request.method in ("POST", "PUT", "PATCH"):
                headers["Content-Length"] = str(len(body or b""))
        timeout = Timeout(
            connect=request.connect_timeout or self._options.connect_timeout, read=request.timeout or self._options.read_timeout
        )
        watch = Watch(cancel)
        with contextlib.ExitStack() as held, self._watching(watch), translated(request.url, cancel):
            held.enter_context(cancel.on_set(watch.end))
            raw = pool.request(
                request.method,
                request.url,
                body=body,
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            return Response(raw, request.url, cancel, held.pop_all())

    def is_plain(self, host: str, cancel: Cancel) -> bool:
        """Whether a near registry certainly does not speak TLS: nothing is verified and nothing is sent but a greeting. Costs a
        connection, and saves reading the authorities where they are of no use."""
        if choose_proxy(f"https://{host}/", self._options.proxies):
            return False
        parts = urlsplit(f"//{host}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        watch = Watch(cancel)
        try:
            with (
                cancel.on_set(watch.end),
                self._watching(watch),
                connected(parts.hostname or "", parts.port or 443, _GREETING, watch) as raw,
                watched(context, self._watch).wrap_socket(raw, server_hostname=parts.hostname),
            ):
                return False
        except ssl.SSLError as error:
            return error.reason in _NOT_TLS
        except OSError:
            return False

    def close(self) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()

    def _pool(self, trust: Trust, proxy: str | None, *, secure: bool = True) -> PoolManager:
        with self._lock:
            secure = secure or proxy is not None
            pool = self._pools.get((trust, proxy, secure))
            if pool is None:
                pool = _make_pool(trust, proxy, self._options.trust.certificate_directories, self._watch, secure=secure)
                pool.pool_classes_by_scheme = pool_classes(self._watch)
                self._pools[trust, proxy, secure] = pool
            return pool


def _make_pool(trust: Trust, proxy: str | None, directories: tuple[str, ...], current: Current, *, secure: bool) -> PoolManager:
    import urllib3

    context = watched(tls_context(trust, directories), current) if secure else None
    if not trust.verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if proxy is None:
        return urllib3.PoolManager(num_pools=16, maxsize=32, ssl_context=context)
    parts = urlsplit(proxy)
    userinfo, _, host = parts.netloc.rpartition("@")
    headers = urllib3.make_headers(proxy_basic_auth=unquote(userinfo)) if userinfo else None
    bare = urlunsplit((parts.scheme, host, "", "", ""))
    own = watched(tls_context(Trust(), directories), current) if parts.scheme == "https" else None
    return urllib3.ProxyManager(bare, num_pools=16, maxsize=32, ssl_context=context, proxy_headers=headers, proxy_ssl_context=own)
