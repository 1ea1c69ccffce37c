"""On a distant registry requests in sequence are what costs: a cached build has few of them, whatever its steps."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.programs import gazami

pytestmark = [pytest.mark.service, pytest.mark.sandbox]
DELAY = 0.8
"""Seconds: long beside what a busy machine takes to begin twenty requests at once."""


class Distant:
    """A way to a registry on which every request takes a while, and a record of them: method, path, begin, end."""

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.delay = 0.0
        self.seen: list[tuple[str, str, float, float]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                began = time.monotonic()
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                time.sleep(outer.delay)
                to = http.client.HTTPConnection(outer.behind)
                to.request(
                    self.command, self.path, body or None, {k: v for k, v in self.headers.items() if k != "Host"}
                )
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
                outer.seen.append((self.command, self.path, began, time.monotonic()))

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def depth(self) -> int:
        """The most requests of which each began after the one before had ended."""
        count, free = 0, 0.0
        for _, _, began, end in sorted(self.seen, key=lambda each: each[3]):
            if began >= free:
                count, free = count + 1, end
        return count


@pytest.fixture
def distant(host: str) -> Iterator[Distant]:
    made = Distant(host.replace("localhost", "127.0.0.1"))
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize("steps", [2, 20])
def test_round_trips_do_not_grow_with_the_steps(
    steps: int, distant: Distant, busybox: str, context: Path, tmp_path: Path
) -> None:
    base = busybox.replace(busybox.partition("/")[0], distant.host)
    (context / "Dockerfile").write_text(f"FROM {base}\n" + "".join(f"RUN echo {n} > /f{n}\n" for n in range(steps)))
    words = ["build", str(context), "--cache", f"--cache-repo={distant.host}/trips{steps}/cache"]
    assert gazami(*words, "--no-push", f"--state-dir={tmp_path / 's0'}").returncode == 0
    distant.seen.clear()
    distant.delay = DELAY
    done = gazami(*words, "--no-push", "--no-push-cache", f"--state-dir={tmp_path / 's1'}")
    assert f"{steps} of {steps} steps found" in done.stderr
    assert len(distant.seen) == steps + 2, "the base's manifest and config, and one request a step"
    assert distant.depth() == 3
    distant.seen.clear()
    done = gazami(*words, f"-t={distant.host}/trips{steps}/app:1", f"--state-dir={tmp_path / 's2'}")
    assert done.returncode == 0, done.stderr
    assert not [each for each in distant.seen if each[0] == "GET" and "/blobs/" in each[1] and "app" in each[1]]
    assert distant.depth() <= 9, "three to look up; then the mounts beside the config's upload, and the manifest"
