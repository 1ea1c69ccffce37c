"""Who we are goes to the scheme, host and port that it is for: downloads, object stores, token servers.

The control is the same request sent straight to the listener: it gets what proves who we are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.redirecting import Web, web

from gazami.cancel import Cancel
from gazami.context.download import download, stream
from gazami.errors import GazamiError, RegistryError
from gazami.registry.auth import Authorizer
from gazami.registry.credentials import Credential, GivenCredentials, Keychain
from gazami.registry.options import RegistryOptions, TrustOptions
from gazami.registry.routing import Trust
from gazami.registry.transport import Transport
from gazami.registry.wire import Challenge


def from_url(url: str, transport: Transport, trust: Trust, place: Path) -> None:
    download(url.replace("://", "://user:CANARY@") + "/f", place, transport)


def from_a_store(url: str, transport: Transport, trust: Trust, place: Path) -> None:
    for _ in stream(f"{url}/bucket/f", transport, lambda _: (("Authorization", "Bearer CANARY"),)):
        pass


def from_a_token_server(url: str, transport: Transport, trust: Trust, place: Path) -> None:
    keychain = Keychain([GivenCredentials("here", (("registry.example", Credential("user", "CANARY")),))])
    authorizer = Authorizer("registry.example", keychain, transport, trust)
    challenge = Challenge("bearer", (("realm", f"{url}/token"), ("service", "x")))
    authorizer.renew((challenge,), "a", ("repository:a:pull",), refused=None, again=False, secure=url.startswith("https"))


CLIENTS = {"a download": from_url, "an object store": from_a_store, "a token server": from_a_token_server}


def run(client: Callable[..., None], server: Web, place: Path) -> GazamiError:
    authorities = (server.authority,) if server.authority else ()
    options = RegistryOptions(TrustOptions(certificate_directories=(str(place),)))
    transport = Transport(options, lambda _: None, Cancel())
    try:
        with pytest.raises(GazamiError) as caught:
            client(server.url, transport, Trust(authorities=authorities), place)
        return caught.value
    finally:
        transport.close()


@pytest.mark.parametrize("what", CLIENTS)
def test_nothing_goes_from_https_to_http(what: str, tmp_path: Path) -> None:
    with web(tmp_path, asks=False) as listener, web(tmp_path, to=listener.url, asks=False, tls=True) as first:
        error = run(CLIENTS[what], first, tmp_path)
    assert "from https to" in error.message
    assert listener.paths == [], "not even without a password"
    assert first.authorizations and "CANARY" not in str(error)


@pytest.mark.parametrize("what", CLIENTS)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["another port", "another host"])
def test_another_host_or_port_gets_the_request_alone(what: str, host: str, tmp_path: Path) -> None:
    with web(tmp_path, asks=False) as listener, web(tmp_path, to=listener.url.replace("localhost", host), asks=False) as first:
        run(CLIENTS[what], first, tmp_path)
    assert listener.paths and listener.authorizations == []
    assert first.authorizations


@pytest.mark.parametrize("what", CLIENTS)
def test_control_the_host_that_it_is_for_gets_it(what: str, tmp_path: Path) -> None:
    with web(tmp_path, asks=False) as listener:
        run(CLIENTS[what], listener, tmp_path)
    assert listener.authorizations


@pytest.mark.parametrize("what", CLIENTS)
@pytest.mark.parametrize("to", ["file:///etc/passwd#", "http://[::1", "http://a:99999999"])
def test_what_is_no_place_is_an_error_of_our_own(what: str, to: str, tmp_path: Path) -> None:
    with web(tmp_path, to=to, asks=False) as first:
        assert isinstance(run(CLIENTS[what], first, tmp_path), RegistryError)


@pytest.mark.parametrize("what", CLIENTS)
def test_a_redirect_to_itself_ends(what: str, tmp_path: Path) -> None:
    with web(tmp_path, to="", asks=False) as first:
        first.to = first.url
        run(CLIENTS[what], first, tmp_path)
    assert 1 <= len(first.paths) <= 12
