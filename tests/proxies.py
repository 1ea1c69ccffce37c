"""Real forward proxies for tests, on 127.0.0.1 and a free port, ended by their own process id."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.services import end, free_port, wait_for_port


@dataclass(frozen=True, slots=True)
class ForwardProxy:
    """``url`` has the user and password when the proxy wants them."""

    url: str
    host: str


@contextmanager
def squid(place: Path, names: tuple[str, ...] = (), certificate: trustme.LeafCert | None = None) -> Iterator[ForwardProxy]:
    """Debian's squid (package squid-openssl), for which ``names`` are this machine. With a ``certificate``, which has to
    be for ``localhost``, it speaks TLS itself.

    It reads the file with the names as a user of its own, so that is not in ``place``, which is a test's.
    """
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", prefix="squid-hosts-") as hosts:
        hosts.write("".join(f"127.0.0.1 {name}\n" for name in names))
        hosts.flush()
        Path(hosts.name).chmod(0o644)
        settings = (
            "http_access allow all",
            "cache deny all",
            "pid_filename none",
            "access_log none",
            "cache_log /dev/null",
            "cache_store_log none",
            f"hosts_file {hosts.name}",
            "shutdown_lifetime 0 seconds",
            "max_filedescriptors 1024",
        )
        listen, scheme = "http_port 127.0.0.1:{port}", "http"
        if certificate is not None:
            pem = place / "squid.pem"
            certificate.private_key_and_cert_chain_pem.write_to_path(str(pem))
            listen, scheme = f"https_port 127.0.0.1:{{port}} tls-cert={pem}", "https"
        with _running(place / "squid.conf", listen, settings, ["squid", "-N", "-f"]) as host:
            name = host.replace("127.0.0.1", "localhost") if certificate else host
            yield ForwardProxy(f"{scheme}://{name}", host)


@contextmanager
def tinyproxy(place: Path, user: str = "ada", password: str = "pw") -> Iterator[ForwardProxy]:
    """Debian's tinyproxy, which wants a password."""
    place.mkdir(parents=True, exist_ok=True)
    settings = ("Listen 127.0.0.1", "Timeout 60", "Allow 127.0.0.1", f"BasicAuth {user} {password}", "LogLevel Error")
    with _running(place / "tinyproxy.conf", "Port {port}", settings, ["tinyproxy", "-d", "-c"]) as host:
        yield ForwardProxy(f"http://{user}:{password}@{host}", host)


@contextmanager
def _running(config: Path, listen: str, settings: tuple[str, ...], command: list[str]) -> Iterator[str]:
    for _ in range(5):
        port = free_port()
        config.write_text("\n".join((listen.format(port=port), *settings, "")))
        with (config.parent / "log").open("ab") as out:
            process = subprocess.Popen([*command, str(config)], stdout=out, stderr=out)
        if wait_for_port(port, process):
            break
    else:
        raise RuntimeError(f"{command[0]} does not start: {(config.parent / 'log').read_text()[-2000:]}")
    try:
        yield f"127.0.0.1:{port}"
    finally:
        end(process)
