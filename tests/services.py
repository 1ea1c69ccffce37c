"""Real servers for tests, on 127.0.0.1 and a free port, ended by their own process id.

``with docker_registry(tmp_path) as registry: … f"{registry.host}/team/app:tag"``
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STARTING = 15.0
"""Seconds that a server may take until it accepts connections."""


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of a server, and of the authority of its clients' certificates when it wants those."""

    certificate: Path
    key: Path
    client_authority: Path | None = None


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """Where tokens come from, and the certificate that they are signed with (see ``token_server``)."""

    realm: str
    service: str
    issuer: str
    certificate: Path


@dataclass(frozen=True, slots=True)
class Registry:
    """``host`` is as a reference names it, ``127.0.0.1:<port>``; ``root`` is its storage folder."""

    host: str
    port: int
    process: subprocess.Popen[bytes]
    root: Path
    log: Path


@contextmanager
def docker_registry(
    tmp_path: Path,
    *,
    tls: Tls | None = None,
    htpasswd: tuple[tuple[str, str], ...] | None = None,
    token: TokenAuth | None = None,
    proxy: str | None = None,
    delete: bool = True,
    relative_urls: bool = False,
) -> Iterator[Registry]:
    """Debian's docker-registry with its storage below ``tmp_path``.

    ``htpasswd`` is ``(user, password)`` pairs for Basic authentication, ``proxy`` the URL that it is a mirror of.
    """
    place = tmp_path / f"registry-{time.monotonic_ns()}"
    root = place / "data"
    root.mkdir(parents=True)
    log = place / "log"
    for _ in range(5):
        port = free_port()
        config = place / "config.yml"
        config.write_text(json.dumps(_config(place, port, tls, htpasswd, token, proxy, delete, relative_urls)))
        with log.open("ab") as out:
            process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=out, stderr=out)
        if wait_for_port(port, process):
            break
    else:
        raise RuntimeError(f"docker-registry does not start: {log.read_text()[-2000:]}")
    try:
        yield Registry(f"127.0.0.1:{port}", port, process, root, log)
    finally:
        end(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> bool:
    """True once the process listens; False when it ended, for instance because the port was taken meanwhile."""
    until = time.monotonic() + STARTING
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return True
    end(process)
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _config(
    place: Path,
    port: int,
    tls: Tls | None,
    htpasswd: tuple[tuple[str, str], ...] | None,
    token: TokenAuth | None,
    proxy: str | None,
    delete: bool,
    relative_urls: bool,
) -> dict[str, Any]:
    http: dict[str, Any] = {"addr": f"127.0.0.1:{port}", "relativeurls": relative_urls, "secret": "for tests"}
    if tls:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
        if tls.client_authority:
            http["tls"]["clientcas"] = [str(tls.client_authority)]
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(place / "data")}, "delete": {"enabled": delete}},
        "http": http,
    }
    if proxy:
        config["proxy"] = {"remoteurl": proxy}
    if htpasswd:
        file = place / "htpasswd"
        command = ["htpasswd", "-C", "4", "-Bbn"]
        lines = [subprocess.run([*command, *pair], capture_output=True, check=True).stdout for pair in htpasswd]
        file.write_bytes(b"".join(line.strip() + b"\n" for line in lines))
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(file)}}
    if token:
        config["auth"] = {
            "token": {
                "realm": token.realm,
                "service": token.service,
                "issuer": token.issuer,
                "rootcertbundle": str(token.certificate),
            }
        }
    return config
