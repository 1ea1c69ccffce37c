"""Connections whose sockets another thread can end: a read, a write, a handshake or a connect that waits is over at once.

urllib3 hands out connections from pools, so an exchange does not know its socket. Before it waits for a socket, a connection of
these pools registers it with the :class:`Watch` of its thread's exchange.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gazami.cancel import Cancel
from gazami.worker import Worker

if TYPE_CHECKING:
    from urllib3.connectionpool import HTTPConnectionPool

Current = Callable[[], "Watch | None"]
"""The watch of the exchange that the calling thread is in."""


class Watch:
    """The sockets that one exchange waits for. Safe to use from several threads."""

    __slots__ = ("_lock", "_over", "_sockets", "cancel")

    def __init__(self, cancel: Cancel) -> None:
        self.cancel = cancel
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._over = False

    def add(self, sock: Any) -> None:
        """A socket that is about to be used; one of TLS inside of TLS is known by the one beneath it."""
        beneath = getattr(sock, "socket", sock)
        with self._lock:
            self._sockets.append(beneath)
            over = self._over
        if over:
            _shut(beneath)

    def end(self) -> None:
        """Shut down what there is and what will be added."""
        with self._lock:
            self._over = True
            sockets = list(self._sockets)
        for each in sockets:
            _shut(each)


def _shut(sock: socket.socket) -> None:
    """The connection itself, under any TLS: ``SSLSocket.shutdown`` would take its state away from the thread that reads."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def connected(
    host: str, port: int, timeout: float | None, watch: Watch, options: Sequence[tuple[int, int, int | bytes]] = ()
) -> socket.socket:
    """A connection to the first address that takes one, as ``socket.create_connection`` makes it. Raises :class:`OSError`, and
    :class:`Cancelled` while the name is resolved."""
    last: OSError | None = None
    for family, kind, protocol, _, address in _addresses(host, port, watch.cancel):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(timeout)
            for option in options:
                sock.setsockopt(*option)
            watch.add(sock)
            sock.connect(address)
            return sock
        except OSError as error:
            sock.close()
            watch.cancel.check()
            last = error
    raise last or OSError("its name has no address")


def _addresses(host: str, port: int, cancel: Cancel) -> list[Any]:
    """What the name resolves to. The resolver cannot be interrupted, so it works in a thread that may be left behind."""
    bare = host.removeprefix("[").removesuffix("]")
    with contextlib.suppress(socket.gaierror):
        return socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return Worker("resolve", lambda: socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM)).result(cancel)


def watched(context: ssl.SSLContext, current: Current) -> ssl.SSLContext:
    """A context whose handshakes register their sockets with the current watch."""

    class Watched(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            if (watch := current()) is not None:
                watch.add(self)
            super().do_handshake(block)

    context.sslsocket_class = Watched
    return context


def pool_classes(current: Current) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's pools by scheme, with connections that register their sockets with the current watch."""
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

    class Telling(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            watch = current()
            if watch is None:
                return super()._new_conn()
            timeout = self.timeout if isinstance(self.timeout, int | float) else None
            try:
                return connected(self._dns_host, self.port, timeout, watch, self.socket_options or ())
            except socket.gaierror as error:
                raise NameResolutionError(self.host, self, error) from error
            except TimeoutError as error:
                raise ConnectTimeoutError(self, f"Connection to {self.host} timed out") from error
            except OSError as error:
                raise NewConnectionError(self, f"Failed to establish a new connection: {error}") from error

        def request(self, *arguments: Any, **keywords: Any) -> None:
            if self.sock is not None and (watch := current()) is not None:
                watch.add(self.sock)
            super().request(*arguments, **keywords)

    class TellingTls(Telling, HTTPSConnection):
        pass

    class Plain(HTTPConnectionPool):
        ConnectionCls = Telling

    class Tls(HTTPSConnectionPool):
        ConnectionCls = TellingTls

    return {"http": Plain, "https": Tls}
