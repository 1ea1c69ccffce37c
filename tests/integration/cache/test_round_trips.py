"""On a distant registry requests in sequence are what costs: a cached build has few of them, whatever its steps.

The way to the registry holds requests of a kind back until all of them are on the way. If they were sent one after the other, or
some of them, the first would wait for ever.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.programs import gazami

pytestmark = [pytest.mark.service, pytest.mark.sandbox]
PATIENCE = 30.0
"""Seconds that a request is held back for the others."""


class Distant:
    """A way to a registry. ``gates`` are kinds of requests and how many of them have to be under way together."""

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.seen: list[tuple[str, str]] = []
        self.gates: list[tuple[Callable[[str, str], bool], threading.Barrier]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                outer.seen.append((self.command, self.path))
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                for matches, barrier in outer.gates:
                    if matches(self.command, self.path):
                        try:
                            barrier.wait(PATIENCE)
                        except threading.BrokenBarrierError:
                            self.send_error(500, "the others did not come")
                            return
                to = http.client.HTTPConnection(outer.behind)
                headers = {key: value for key, value in self.headers.items() if key != "Host"}
                to.request(self.command, self.path, body or None, headers)
                answer = to.getresponse()
                data = answer.read()
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in ("transfer-encoding", "connection"):
                        self.send_header(key, value.replace(outer.behind, outer.host))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)
                to.close()

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def distant(host: str) -> Iterator[Distant]:
    made = Distant(host.replace("localhost", "127.0.0.1"))
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize("steps", [2, 20])
def test_round_trips_do_not_grow_with_the_steps(steps: int, distant: Distant, busybox: str, context: Path, tmp_path: Path) -> None:
    base = busybox.replace(busybox.partition("/")[0], distant.host)
    (context / "Dockerfile").write_text(f"FROM {base}\n" + "".join(f"RUN echo {n} > /f{n}\n" for n in range(steps)))
    words = ["build", str(context), "--cache", f"--cache-repo={distant.host}/trips{steps}/cache"]
    assert gazami(*words, "--no-push", f"--state-dir={tmp_path / 's0'}").returncode == 0

    distant.seen.clear()
    distant.gates = [(lambda method, path: "/cache/manifests/" in path, threading.Barrier(steps))]
    done = gazami(*words, "--no-push", "--no-push-cache", f"--state-dir={tmp_path / 's1'}")
    assert f"{steps} of {steps} steps found" in done.stderr
    assert len(distant.seen) == steps + 2, "three in sequence: the base's manifest, its config, and the look-ups at once"

    distant.seen.clear()
    layers = steps + 1
    distant.gates += [(lambda method, path: method == "POST" and "mount=" in path, threading.Barrier(layers))]
    done = gazami(*words, f"-t={distant.host}/trips{steps}/app:1", f"--state-dir={tmp_path / 's2'}")
    assert done.returncode == 0, done.stderr
    moved = [path for method, path in distant.seen if method in ("GET", "PATCH", "PUT") and "/blobs/" in path]
    assert len(moved) == 2, "the base's config is read and the new config is sent, and no layer moves"
