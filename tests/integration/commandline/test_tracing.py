"""Spans of a build at a receiver of OTLP over HTTP on loopback, which decodes what arrives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.loopback import serving
from tests.programs import gazami
from tests.services import free_port

pytestmark = [pytest.mark.service, pytest.mark.sandbox]

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass
class Received:
    url: str = ""
    status: int = 200
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)

    @property
    def spans(self) -> dict[str, dict[str, Any]]:
        (body,) = (body for _, _, body in self.requests)
        (of_resource,) = body["resourceSpans"]
        (of_scope,) = of_resource["scopeSpans"]
        return {each["name"]: each for each in of_scope["spans"]}


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        state: Received = self.server.state
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        state.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(state.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


@pytest.fixture
def received() -> Iterator[Received]:
    state = Received()
    with serving(_Handler, state=state) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        yield state


def build(context: Path, busybox: str, env: dict[str, str], step: str = "RUN sleep 0.2") -> tuple[int, str]:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nARG TOKEN\n{step}\n")
    words = ["build", str(context), "--no-push", "--build-arg=TOKEN=token-of-this-test", f"--state-dir={context.parent / 'state'}"]
    done = gazami(*words, env=env)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_a_build_is_a_child_of_the_callers_span(context: Path, busybox: str, received: Received) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": received.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20abc,x-team=blue",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=ci",
        "TRACEPARENT": f"00-{TRACE}-{SPAN}-01",
    }
    assert build(context, busybox, env)[0] == 0
    ((path, headers, body),) = received.requests
    assert path == "/v1/traces"
    assert (headers["content-type"], headers["authorization"], headers["x-team"]) == ("application/json", "Bearer abc", "blue")
    resource = {each["key"]: each["value"]["stringValue"] for each in body["resourceSpans"][0]["resource"]["attributes"]}
    assert (resource["service.name"], resource["deployment.environment"]) == ("gazami", "ci")
    step, snapshot = received.spans["RUN sleep 0.2"], received.spans["snapshot"]
    assert (received.spans["build"]["traceId"], received.spans["build"]["parentSpanId"]) == (TRACE, SPAN)
    assert int(step["endTimeUnixNano"]) - int(step["startTimeUnixNano"]) >= 200_000_000
    assert snapshot["parentSpanId"] == step["spanId"]
    assert "token-of-this-test" not in json.dumps(body)


def test_a_build_that_fails_says_so(context: Path, busybox: str, received: Received) -> None:
    env = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{received.url}/own/path", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    status, log = build(context, busybox, env, "RUN exit 7")
    assert status == 7
    assert "spans are sent over HTTP and not by gRPC" in log
    assert received.requests[0][0] == "/own/path"
    assert received.spans["build"]["status"]["code"] == 2
    assert "exit code: 7" in received.spans["RUN exit 7"]["status"]["message"]


@pytest.mark.parametrize(
    "env",
    [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}, {"TRACEPARENT": f"00-{TRACE}-{SPAN}-00"}],
    ids=["disabled", "no exporter", "not sampled"],
)
def test_nothing_is_sent_where_nobody_wants_it(env: dict[str, str], context: Path, busybox: str, received: Received) -> None:
    assert build(context, busybox, {"OTEL_EXPORTER_OTLP_ENDPOINT": received.url, **env}, "RUN true")[0] == 0
    assert received.requests == []


@pytest.mark.parametrize("how", ["refused", "status 503"])
def test_a_receiver_that_fails_is_a_warning(how: str, context: Path, busybox: str, received: Received) -> None:
    received.status = 503
    url = received.url if how == "status 503" else f"http://127.0.0.1:{free_port()}"
    status, log = build(context, busybox, {"OTEL_EXPORTER_OTLP_ENDPOINT": url}, "RUN true")
    assert status == 0
    assert log.count("no spans were sent to") == 1
    assert how in log
