"""Requests over the wire: connections, TLS, proxies, timeouts, and trying again.

:meth:`Transport.exchange` makes one attempt and raises :class:`ConnectionFault` when no answer came;
:meth:`Transport.persist` repeats an attempt as ``retry`` decides. Redirects and authorization are the session's.
urllib3 is imported with the first request, since it costs a large part of the program's start.
"""

from __future__ import annotations

import contextlib
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from gazami.cancel import Cancel
from gazami.errors import RegistryError, TransportError
from gazami.events import Emit, Message
from gazami.registry.connections import Current, Watch, connected, pool_classes, watched
from gazami.registry.faults import FINAL, ConnectionFault, translated
from gazami.registry.options import RegistryOptions
from gazami.registry.proxy import choose_proxy
from gazami.registry.retry import RETRYABLE, pause_after
from gazami.registry.routing import Trust
from gazami.registry.slots import Slots
from gazami.registry.tls import tls_context
from gazami.registry.wire import host_in, parse_retry_after, redact
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

CHUNK = 1024 * 1024
"""Bytes read or written at once."""

SENDING = 4
"""Blobs whose bytes are sent at the same time, as docker and kaniko do; mounts and look-ups do not count."""

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


class Transport:
    """Connections to every host that a build speaks to; safe to use from several threads."""

    def __init__(
        self,
        options: RegistryOptions,
        emit: Emit,
        cancel: Cancel,
        *,
        jitter: Callable[[], float] = random.random,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cancel = cancel
        self._local = threading.local()
        self.sending = Slots(SENDING)
        """Taken by whoever sends a blob's bytes."""
        self._options = options
        self._emit = emit
        self._jitter = jitter
        self._now = now
        self._lock = threading.Lock()
        self.schemes: dict[str, str] = {}
        """What near hosts were found to speak."""
        self._pools: dict[tuple[Trust, str | None, bool], PoolManager] = {}

    @property
    def cancel(self) -> Cancel:
        """The switch that ends what the calling thread does here."""
        stop: Cancel | None = getattr(self._local, "stop", None)
        return stop or self._cancel

    @contextlib.contextmanager
    def obeying(self, stop: Cancel) -> Iterator[None]:
        """A context in which the requests of this thread end when ``stop`` is set, too: those of a stage, of an upload."""
        before, both = self.cancel, Cancel()
        if stop is before:
            yield
            return
        with before.on_set(lambda: both.set(before.reason)), stop.on_set(lambda: both.set(stop.reason)):
            kept, self._local.stop = getattr(self._local, "stop", None), both
            try:
                yield
            finally:
                self._local.stop = kept

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

    def exchange(self, request: Request, trust: Trust) -> Response:
        """One attempt; the status may be any. Raises :class:`ConnectionFault` when no answer came."""
        from urllib3 import Timeout

        cancel = self.cancel
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

    def persist(self, attempt: Callable[[], Response], attempts: int | None = None) -> Response:
        """Repeat ``attempt`` while it meets faults and statuses that may pass, at most ``attempts`` times in all where
        that is less than the policy allows.

        Returns the last answer, also when its status is still one of those. Raises :class:`TransportError`.
        """
        failures = 0
        while True:
            self.cancel.check()
            retry_after: float | None = None
            try:
                response = attempt()
            except ConnectionFault as fault:
                failures += 1
                pause = self.pause(failures) if fault.kind not in FINAL and failures != attempts else None
                if pause is None:
                    raise fault.after(failures) from fault.__cause__
                reason = str(fault)
            else:
                if response.status not in RETRYABLE:
                    return response
                failures += 1
                retry_after = self.retry_after(response)
                pause = self.pause(failures, retry_after) if failures != attempts else None
                if pause is None:
                    return response
                response.close()
                reason = f"{host_in(response.url)}: status {response.status}"
            self._emit(Message("info", f"{reason}; trying again in {pause:.1f} s"))
            self.wait(pause)

    def pause(self, failures: int, retry_after: float | None = None) -> float | None:
        return pause_after(failures, self._options.retry, self._jitter(), retry_after)

    def retry_after(self, response: Response) -> float | None:
        return parse_retry_after(response.header("Retry-After"), self._now())

    def wait(self, seconds: float) -> None:
        """Sleep. Raises :class:`Cancelled` as soon as the build is."""
        if self.cancel.wait(seconds):
            self.cancel.check()

    def close(self) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()

    def is_plain(self, host: str) -> bool:
        """Whether a near registry certainly does not speak TLS: nothing is verified and nothing is sent but a greeting. Costs a
        connection, and saves reading the authorities where they are of no use."""
        if choose_proxy(f"https://{host}/", self._options.proxies):
            return False
        parts = urlsplit(f"//{host}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        watch = Watch(self.cancel)
        try:
            with (
                self.cancel.on_set(watch.end),
                self._watching(watch),
                connected(parts.hostname or "", parts.port or 443, _GREETING, watch) as raw,
                watched(context, self._watch).wrap_socket(raw, server_hostname=parts.hostname),
            ):
                return False
        except ssl.SSLError as error:
            return error.reason in _NOT_TLS
        except OSError:
            return False

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
