from __future__ import annotations

import pytest

from gazami.registry.faults import ConnectionFault
from gazami.registry.options import TrustOptions
from gazami.registry.routing import Route, Trust, host_of, is_loopback, is_near, route, trust

BOTH = ("https", "http")


@pytest.mark.parametrize(
    "name",
    [
        "localhost", "localhost:5000", "127.0.0.1", "127.8.8.8:80", "[::1]:5000", "10.1.2.3", "172.31.0.1:5000",
        "192.168.1.1", "nas.local", "nas.local:5000", "x.localhost", "NAS.Local",
    ],
)  # fmt: skip
def test_near_names(name: str) -> None:
    assert is_near(name)
    assert route(name, TrustOptions(), "pull") == Route(name, BOTH)


@pytest.mark.parametrize(
    "name", ["reg.test", "172.32.0.1", "11.0.0.1:5000", "local.test", "notlocal", "8.8.8.8", "[2001:db8::1]:5000"]
)
def test_far_names(name: str) -> None:
    assert not is_near(name)
    assert route(name, TrustOptions(), "push") == Route(name, ("https",))


def test_insecure_wishes() -> None:
    options = TrustOptions(insecure=True, insecure_registries=("r.test:5000",))
    assert route("x.test", options, "push").schemes == BOTH
    assert route("x.test", options, "pull").schemes == ("https",)
    assert route("r.test:5000", options, "pull").schemes == BOTH
    assert route("r.test", options, "pull").schemes == ("https",)
    assert route("x.test", TrustOptions(insecure_pull=True), "pull").schemes == BOTH


def test_docker_hub_has_its_own_api_host() -> None:
    assert route("index.docker.io", TrustOptions(), "pull").host == "registry-1.docker.io"


def test_trust() -> None:
    options = TrustOptions(
        skip_tls_verify_registries=("lax.test",),
        certificates=(("a.test", "1.pem"), ("b.test", "2.pem"), ("a.test", "3.pem"), ("lax.test", "4.pem")),
        client_certificates=(("a.test", "c.pem", "k.pem"),),
    )
    assert trust("a.test", options, "pull") == Trust(authorities=("1.pem", "3.pem"), client=("c.pem", "k.pem"))
    assert trust("lax.test", options, "pull") == Trust(verify=False)
    assert trust("c.test", TrustOptions(skip_tls_verify=True), "push") == Trust(verify=False)
    assert trust("c.test", TrustOptions(skip_tls_verify=True), "pull") == Trust(verify=False)
    assert trust("c.test", TrustOptions(skip_tls_verify_pull=True), "pull") == Trust(verify=False)
    assert trust("c.test", TrustOptions(skip_tls_verify_pull=True), "push") == Trust()


@pytest.mark.parametrize(("netloc", "host"), [("a:1", "a"), ("a", "a"), ("[::1]:5", "::1"), ("[::1]", "::1"), ("::1", "::1")])
def test_hosts(netloc: str, host: str) -> None:
    assert host_of(netloc) == host


@pytest.mark.parametrize("name", ["localhost", "localhost:5000", "127.0.0.1:5000", "127.3.2.1", "[::1]:5000", "r.localhost:80"])
def test_this_very_machine(name: str) -> None:
    assert is_loopback(name)


@pytest.mark.parametrize("name", ["10.0.0.1:5000", "registry.local", "example.com", "localhost.example.com", "[fe80::1]:5000"])
def test_other_machines(name: str) -> None:
    assert not is_loopback(name)


@pytest.mark.parametrize(
    "said",
    [
        "<urllib3.connection.HTTPSConnection object at 0x7f10cbf2a890>: the reason",
        "<urllib3.connection.HTTPSConnection(host='a.example', port=443) at 0x7f10cbf2a890>: the reason",
        "HTTPSConnection(host='a.example', port=443): the reason",
        "HTTPSConnectionPool(host='a.example', port=443): the reason",
        "TLS failed: <ssl.SSLSocket object at 0x7f10cbf2a890> the reason",
    ],
)
def test_a_fault_names_a_reason_and_no_object(said: str) -> None:
    message = ConnectionFault("tls", said, "https://a.example/v2/").message
    assert message.endswith("the reason")
    assert "0x" not in message and "Connection" not in message and "Socket" not in message
