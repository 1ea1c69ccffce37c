"""Blobs that are uploaded while they are written."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.integration.registry.images import has_blob
from tests.services import docker_registry

from gazami.cancel import Cancel
from gazami.events import discard
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_LAYER_GZIP, Descriptor
from gazami.image.reference import parse_reference
from gazami.registry.client import RegistryClient
from gazami.registry.credentials import Keychain
from gazami.registry.options import RegistryOptions
from gazami.registry.retry import RetryPolicy
from gazami.registry.transfer import Uploads

pytestmark = pytest.mark.service
DATA = os.urandom(1 << 20) * 24


@pytest.fixture
def client() -> Iterator[RegistryClient]:
    options = RegistryOptions(retry=RetryPolicy(attempts=2))
    with RegistryClient(options, Keychain(), discard, Cancel()) as made:
        yield made


def descriptor(data: bytes) -> Descriptor:
    return Descriptor(OCI_LAYER_GZIP, digest_of(data), len(data))


def written(path: Path, data: bytes, pause: float = 0.01) -> threading.Thread:
    path.touch()

    def write() -> None:
        with path.open("ab") as file:
            for start in range(0, len(data), 1 << 20):
                file.write(data[start : start + (1 << 20)])
                file.flush()
                time.sleep(pause)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def test_the_registry_has_the_blob_when_the_file_is_complete(client: RegistryClient, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "registry") as registry:
        reference = parse_reference(f"localhost:{registry.port}/grow/a:1")
        writer = written(tmp_path / "blob", DATA)
        growing = client.follow_blob(reference, tmp_path / "blob")
        writer.join()
        assert growing.complete(descriptor(DATA))
        assert client.read_blob(reference, descriptor(DATA), 1 << 30) == DATA


def test_a_small_blob_asks_for_nothing(client: RegistryClient, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"small")
    growing = client.follow_blob(parse_reference("localhost:1/grow/a:1"), tmp_path / "blob")
    assert not growing.complete(descriptor(b"small"))


def test_another_digest_is_not_believed(client: RegistryClient, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "registry") as registry:
        reference = parse_reference(f"localhost:{registry.port}/grow/a:1")
        (tmp_path / "blob").write_bytes(DATA)
        growing = client.follow_blob(reference, tmp_path / "blob")
        wrong = Descriptor(OCI_LAYER_GZIP, digest_of(b"other"), len(DATA))
        assert not growing.complete(wrong)
        assert not has_blob(client, reference, wrong)


@pytest.mark.parametrize("fault", ["refused", "cut", "closed"])
def test_trouble_means_not_there(fault: str, client: RegistryClient, tmp_path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.send_response(202)
            self.send_header("Location", "/upload")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_PATCH(self) -> None:
            if fault == "cut":
                self.rfile.read(100_000)
                self.connection.close()
                return
            self.send_response(400)
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port
    if fault == "closed":
        server.shutdown()
        server.server_close()
    writer = written(tmp_path / "blob", DATA)
    growing = client.follow_blob(parse_reference(f"127.0.0.1:{port}/grow/a:1"), tmp_path / "blob")
    writer.join()
    assert not growing.complete(descriptor(DATA))
    if fault != "closed":
        server.shutdown()
        server.server_close()


def test_giving_up_ends_at_once(client: RegistryClient, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "registry") as registry:
        (tmp_path / "blob").write_bytes(DATA)
        growing = client.follow_blob(parse_reference(f"localhost:{registry.port}/grow/a:1"), tmp_path / "blob")
        time.sleep(0.3)
        started = time.monotonic()
        growing.abandon()
        assert time.monotonic() - started < 3


def test_what_nobody_completes_is_given_up_at_the_end(client: RegistryClient, tmp_path: Path) -> None:
    """A stage may fail between its layer and whoever goes on with the upload: neither a thread nor a file is left."""
    blob = tmp_path / "blob"
    blob.write_bytes(DATA)
    with docker_registry(tmp_path) as registry:
        with Uploads(client) as uploads:
            growing = uploads.follow(parse_reference(f"{registry.host}/grow/left:x"), blob)
            assert any(each.name == "grow" for each in threading.enumerate())
        assert not any(each.name == "grow" for each in threading.enumerate())
        growing.abandon()  # again: nothing happens
    assert str(blob) not in [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
