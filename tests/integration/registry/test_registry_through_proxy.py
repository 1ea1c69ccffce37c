"""Requests through an HTTP proxy: one that stands in for the registry behind it, and real ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from tests.integration.registry.faults import Canned, faulty
from tests.integration.registry.images import AMD64, HASTY, client, push_image, small_image
from tests.proxies import squid, tinyproxy
from tests.services import Registry, Tls, docker_registry

from gazami.errors import TransportError
from gazami.image.reference import Reference
from gazami.registry.options import TrustOptions

pytestmark = pytest.mark.service

REFERENCE = Reference("reg.test", "team/app", "one")


def test_plain_http_goes_through_the_proxy_with_its_password() -> None:
    image = small_image()
    with faulty() as proxy:
        proxy.add("GET", "http://reg.test/v2/team/app/manifests/one", Canned(200, body=image.manifest.raw))
        address = f"http://user:p%40ss@{proxy.host}"
        options = replace(
            HASTY,
            trust=TrustOptions(insecure_registries=("reg.test",)),
            proxies=(("HTTP_PROXY", address), ("HTTPS_PROXY", address), ("NO_PROXY", "other.test")),
        )
        with client(options) as ours:
            assert ours.get_manifest(REFERENCE).digest == image.manifest.digest
        assert proxy.seen[-1].headers["Proxy-Authorization"] == "Basic dXNlcjpwQHNz"
        assert "Authorization" not in proxy.seen[-1].headers


def test_a_proxy_that_refuses_to_connect_is_named() -> None:
    with faulty() as proxy:
        options = replace(HASTY, proxies=(("HTTPS_PROXY", f"http://user:hunter2@{proxy.host}"),))
        with client(options) as ours, pytest.raises(TransportError, match="cannot use the proxy") as caught:
            ours.get_manifest(REFERENCE)
        assert "hunter2" not in str(caught.value)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[tuple[Registry, str]]:
    """A registry with TLS under the names reg.test and 0.0.0.0, and the certificate of its authority."""
    place = tmp_path_factory.mktemp("secure")
    issued = authority.issue_cert("reg.test", "0.0.0.0")
    (place / "server.pem").write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(place / "key.pem"))
    authority.cert_pem.write_to_path(str(place / "ca.pem"))
    with docker_registry(place, tls=Tls(place / "server.pem", place / "key.pem")) as running:
        yield running, str(place / "ca.pem")


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@needs("squid")
def test_push_and_pull_through_squid(tmp_path: Path, registry: Registry, secure: tuple[Registry, str]) -> None:
    """Names that only the proxy can resolve: in plain HTTP, and in TLS through CONNECT."""
    plain, tls = f"plain.test:{registry.port}", f"reg.test:{secure[0].port}"
    with squid(tmp_path, ("plain.test", "reg.test")) as proxy:
        options = replace(
            HASTY,
            trust=TrustOptions(insecure_registries=(plain,), certificates=((tls, secure[1]),)),
            proxies=(("HTTP_PROXY", proxy.url), ("HTTPS_PROXY", proxy.url), ("NO_PROXY", "other.test,10.0.0.0/8")),
        )
        for host in (plain, tls):
            reference = Reference(host, "through/squid", "one")
            with client(options) as ours:
                push_image(ours, reference, small_image(size=3_000_000))
                resolved = ours.resolve(reference, AMD64)
                assert b"".join(ours.open_blob(reference, resolved.manifest.layers[0]))
        around = replace(options, proxies=(*options.proxies[:2], ("NO_PROXY", ".test")))
        with client(around) as ours, pytest.raises(TransportError, match="cannot resolve"):
            ours.get_manifest(Reference(tls, "through/squid", "one"))
        with client(options) as ours, pytest.raises(TransportError, match="proxy"):
            ours.get_manifest(Reference("nowhere.test", "a", "x"))


@needs("tinyproxy")
def test_a_proxy_with_a_password(tmp_path: Path, secure: tuple[Registry, str]) -> None:
    """0.0.0.0 is this machine too, but no address that proxies are not used for."""
    host = f"0.0.0.0:{secure[0].port}"
    reference = Reference(host, "through/tinyproxy", "one")
    with tinyproxy(tmp_path) as proxy:
        options = replace(HASTY, trust=TrustOptions(certificates=((host, secure[1]),)), proxies=(("HTTPS_PROXY", proxy.url),))
        with client(options) as ours:
            push_image(ours, reference, small_image())
            assert ours.resolve(reference, AMD64).digest == small_image().manifest.digest
        wrong = replace(options, proxies=(("HTTPS_PROXY", proxy.url.replace("ada:pw", "ada:hunter2")),))
        with client(wrong) as ours, pytest.raises(TransportError, match="401") as caught:
            ours.get_manifest(reference)
        assert "hunter2" not in str(caught.value) and "attempts" not in str(caught.value)
        assert "HTTPS_PROXY" in str(caught.value.hint)


@needs("squid")
def test_a_proxy_that_speaks_tls_itself(tmp_path: Path, secure: tuple[Registry, str], authority: trustme.CA) -> None:
    """TLS to the proxy, and in it TLS to the registry; the system's authorities (SSL_CERT_DIR) vouch for the proxy."""
    tls = f"reg.test:{secure[0].port}"
    reference = Reference(tls, "through/tls", "one")
    (tmp_path / "authorities").mkdir()
    authority.cert_pem.write_to_path(str(tmp_path / "authorities/corp.pem"))
    with squid(tmp_path, ("reg.test",), certificate=authority.issue_cert("localhost")) as proxy:
        options = replace(
            HASTY,
            trust=TrustOptions(certificate_directories=(str(tmp_path / "authorities"),)),
            proxies=(("HTTPS_PROXY", proxy.url),),
        )
        with client(options) as ours:
            push_image(ours, reference, small_image())
            assert ours.resolve(reference, AMD64).digest == small_image().manifest.digest
        suspicious = replace(options, trust=TrustOptions(certificates=((tls, secure[1]),)))
        with client(suspicious) as ours, pytest.raises(TransportError, match="the proxy's certificate") as caught:
            ours.get_manifest(reference)
        assert "SSL_CERT_DIR" in str(caught.value.hint) and "attempts" not in str(caught.value)
