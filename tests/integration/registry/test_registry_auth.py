"""Basic and token authorization, TLS and its refusals, with real registries."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
from tests.integration.registry.faults import Canned, faulty
from tests.integration.registry.images import AMD64, HASTY, blob, client, opener, push_image, small_image
from tests.services import Registry, Tls, docker_registry
from tests.token_server import TokenServer, token_server

from gazami.cancel import Cancel
from gazami.errors import AuthenticationError, TransportError, UsageError
from gazami.events import discard
from gazami.image.reference import Reference
from gazami.registry.auth import Authorizer
from gazami.registry.credentials import Credential, Keychain, Lookup, parse_docker_config
from gazami.registry.options import RegistryOptions, TrustOptions
from gazami.registry.retry import RetryPolicy
from gazami.registry.routing import Route, Trust
from gazami.registry.session import Call, Session
from gazami.registry.tls import tls_context
from gazami.registry.transport import Transport

pytestmark = pytest.mark.service

SECRET = "s3cret:with:colons"


def keychain(host: str, user: str = "ada", password: str = SECRET, **entry: str) -> Keychain:
    value = entry or {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
    return Keychain((parse_docker_config(json.dumps({"auths": {host: value}}), "config.json"),))


def test_basic_authentication(tmp_path: Path) -> None:
    with docker_registry(tmp_path, htpasswd=(("ada", SECRET),)) as registry:
        reference = Reference(registry.host, "team/app", "one")
        with client(keychain=keychain(registry.host)) as ours:
            push_image(ours, reference, small_image())
            assert ours.resolve(reference, AMD64).config.platform == AMD64
        for wrong, said in ((Keychain(), "no docker config"), (keychain(registry.host, password="guess"), "user ada")):
            with client(keychain=wrong) as ours, pytest.raises(AuthenticationError) as caught:
                ours.get_manifest(reference)
            assert caught.value.status == 401 and said in str(caught.value) and registry.host in str(caught.value.hint)
            assert "guess" not in str(caught.value)


def test_a_path_scoped_entry_is_not_for_its_siblings(tmp_path: Path) -> None:
    with (
        docker_registry(tmp_path, htpasswd=(("ada", SECRET),)) as registry,
        client(keychain=keychain(f"{registry.host}/team")) as ours,
    ):
        ours.checks.check(Reference(registry.host, "team/app", "x"))
        with pytest.raises(AuthenticationError, match="no entry"):
            ours.checks.check(Reference(registry.host, "other/app", "x"))


@contextmanager
def guarded(tmp_path: Path) -> Iterator[tuple[Registry, TokenServer]]:
    with (
        token_server(
            tmp_path, users={"ada": SECRET}, identity_tokens={"id-token": "ada"}, public=frozenset({"public/app"})
        ) as tokens,
        docker_registry(tmp_path, token=tokens.auth) as registry,
    ):
        yield registry, tokens


def test_token_authentication(tmp_path: Path) -> None:
    with guarded(tmp_path) as (registry, tokens):
        reference = Reference(registry.host, "public/app", "one")
        with client(keychain=keychain(registry.host)) as ours:
            push_image(ours, reference, small_image())
            assert tokens.asked == [("repository:public/app:pull,push",)], "one token serves the whole push"
        with client() as anonymous:
            assert anonymous.resolve(reference, AMD64).digest == small_image().manifest.digest
            with pytest.raises(AuthenticationError, match=r"asked for repository:public/app:pull,push"):
                anonymous.checks.check(reference)
        guessing = keychain(registry.host, password="guess")
        with client(keychain=guessing) as ours, pytest.raises(AuthenticationError, match="wrong password"):
            ours.get_manifest(reference)


def test_an_identity_token_is_exchanged(tmp_path: Path) -> None:
    with guarded(tmp_path) as (registry, _):
        with client(keychain=keychain(registry.host, identitytoken="id-token")) as ours:
            ours.checks.check(Reference(registry.host, "team/app", "x"))
        stolen = keychain(registry.host, identitytoken="stolen")
        with client(keychain=stolen) as ours, pytest.raises(AuthenticationError, match="invalid_grant"):
            ours.checks.check(Reference(registry.host, "team/app", "x"))


def test_a_mount_asks_for_both_repositories(tmp_path: Path) -> None:
    descriptor, data = blob(5000)
    with guarded(tmp_path) as (registry, tokens), client(keychain=keychain(registry.host)) as ours:
        source, target = Reference(registry.host, "team/base", "x"), Reference(registry.host, "team/app", "x")
        ours.push_blob(source, descriptor, opener(data))
        assert ours.push_blob(target, descriptor, opener(data), (source,)) == "mounted"
        assert tokens.asked[-1] == ("repository:team/app:pull,push", "repository:team/base:pull")


def test_a_mount_that_the_token_server_refuses_becomes_an_upload(tmp_path: Path) -> None:
    descriptor, data = blob(5000)
    with guarded(tmp_path) as (registry, tokens), client(keychain=keychain(registry.host)) as ours:
        tokens.refuse_foreign = True
        source, target = Reference(registry.host, "foreign", "x"), Reference(registry.host, "team/app", "x")
        assert ours.push_blob(target, descriptor, opener(data), (source,)) == "moved"


def test_an_expired_token_is_replaced(tmp_path: Path) -> None:
    with guarded(tmp_path) as (registry, tokens), client(keychain=keychain(registry.host)) as ours:
        tokens.lifetime = 0
        reference = Reference(registry.host, "team/app", "x")
        ours.checks.check(reference)
        ours.checks.check(reference)
        assert len(tokens.asked) >= 2


@pytest.mark.parametrize("status", [404, 405])
def test_an_identity_token_where_there_is_no_post(status: int) -> None:
    """Old token servers know GET alone: they are given the identity token as a password."""
    with faulty() as realm, faulty() as registry:
        realm.add("POST", "/token", Canned(status))
        realm.add("GET", "/token", Canned(200, body=b'{"access_token": "one"}'))
        challenge = ("WWW-Authenticate", f'Bearer realm="http://{realm.host}/token",service="s"')
        registry.add("PUT", "/manifests/", Canned(401, (challenge,)))
        registry.add("PUT", "/manifests/", Canned(201))
        with client(keychain=keychain(registry.host, identitytoken="id")) as ours:
            ours.push_manifest(Reference(registry.host, "a", "x"), b"{}", "text/plain")
        assert registry.seen[-1].headers["Authorization"] == "Bearer one"
        assert realm.seen[-1].headers["Authorization"] == "Basic " + base64.b64encode(b"<token>:id").decode()


def test_credentials_that_end_are_looked_up_again() -> None:
    class Cloud:
        def __init__(self) -> None:
            self.times = 0

        def lookup(self, registry: str, repository: str) -> Lookup:
            self.times += 1
            return Lookup(Credential("AWS", str(self.times)), ("cloud: used",), until=100.0 * self.times)

    now, cloud = [0.0], Cloud()
    transport = Transport(HASTY, discard, Cancel())
    authorizer = Authorizer("r.test", Keychain((cloud,)), transport, Trust(), clock=lambda: now[0])

    def password() -> str:
        found = authorizer.lookup("a").credential
        assert found is not None
        return found.password

    assert (password(), password()) == ("1", "1")
    now[0] = 100.0
    assert (password(), password(), cloud.times) == ("2", "2", 2)
    transport.close()


def test_a_token_is_asked_for_again_with_more_scopes_or_after_it_was_revoked() -> None:
    with faulty() as realm, faulty() as registry:
        for token in (b"one", b"two", b"three"):
            realm.add("GET", "/token", Canned(200, body=b'{"token": "%s"}' % token))
        bearer = f'Bearer realm="http://{realm.host}/token",service="s"'
        more = f'{bearer},scope="repository:a:delete",error="insufficient_scope"'
        registry.add("PUT", "/manifests/", Canned(401, (("WWW-Authenticate", bearer),)))
        registry.add("PUT", "/manifests/", Canned(401, (("WWW-Authenticate", more),)))
        registry.add("PUT", "/manifests/", Canned(201))
        registry.add("PUT", "/manifests/", Canned(401, (("WWW-Authenticate", bearer),)))
        registry.add("PUT", "/manifests/", Canned(201))
        with client() as ours:
            for _ in range(2):
                ours.push_manifest(Reference(registry.host, "a", "x"), b"{}", "text/plain")
        sent = [each.headers.get("Authorization") for each in registry.seen]
        assert sent == [None, "Bearer one", "Bearer two", "Bearer two", "Bearer three"]
        scopes = [parse_qs(urlsplit(each.target).query)["scope"] for each in realm.seen]
        assert scopes == [["repository:a:pull,push"], *[["repository:a:delete,pull,push"]] * 2]


def test_a_token_that_does_not_help_is_not_asked_for_again() -> None:
    with faulty() as realm, faulty() as registry, client() as ours:
        realm.add("GET", "/token", Canned(200, body=b'{"token": "one"}'), times=None)
        challenge = ("WWW-Authenticate", f'Bearer realm="http://{realm.host}/token",service="s"')
        registry.add("PUT", "/manifests/", Canned(401, (challenge,)), times=None)
        with pytest.raises(AuthenticationError):
            ours.push_manifest(Reference(registry.host, "a", "x"), b"{}", "text/plain")
        assert (len(realm.seen), len(registry.seen)) == (1, 2)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("tls")
    server, us = authority.issue_cert("127.0.0.1", "localhost"), authority.issue_cert("gazami@example.test")
    paths = {name: place / f"{name}.pem" for name in ("ca", "server", "server-key", "us", "us-key")}
    authority.cert_pem.write_to_path(str(paths["ca"]))
    for name, issued in (("server", server), ("us", us)):
        paths[name].write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(paths[f"{name}-key"]))
    return paths


def test_tls_with_an_authority_of_its_own(tmp_path: Path, files: dict[str, Path]) -> None:
    with docker_registry(tmp_path, tls=Tls(files["server"], files["server-key"])) as registry:
        reference = Reference(registry.host, "team/app", "one")
        trusting = replace(HASTY, trust=TrustOptions(certificates=((registry.host, str(files["ca"])),)))
        with client(trusting) as ours:
            push_image(ours, reference, small_image())
        for lax in (
            replace(HASTY, trust=TrustOptions(skip_tls_verify_registries=(registry.host,))),
            replace(HASTY, trust=TrustOptions(skip_tls_verify_pull=True)),
        ):
            with client(lax) as ours:
                assert ours.resolve(reference, AMD64).config.platform == AMD64
        with client() as ours, pytest.raises(TransportError) as caught:
            ours.get_manifest(reference)
        assert "certificate is not trusted" in str(caught.value)
        assert "attempts" not in str(caught.value) and "--registry-certificate" in str(caught.value.hint)


def test_a_push_is_not_tried_again_where_the_certificate_is_not_trusted(tmp_path: Path, files: dict[str, Path]) -> None:
    descriptor, data = blob(1000)
    with docker_registry(tmp_path, tls=Tls(files["server"], files["server-key"])) as registry, client() as ours:
        with pytest.raises(TransportError) as caught:
            ours.push_blob(Reference(registry.host, "a", "x"), descriptor, opener(data))
        assert "certificate is not trusted" in str(caught.value) and "attempts" not in str(caught.value)
        assert str(caught.value).startswith("error pushing image: ")


def test_a_certificate_for_another_name(tmp_path: Path, files: dict[str, Path], authority: trustme.CA) -> None:
    issued = authority.issue_cert("registry.example.test")
    certificate, key = tmp_path / "other.pem", tmp_path / "other-key.pem"
    certificate.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    with docker_registry(tmp_path, tls=Tls(certificate, key)) as registry:
        trusting = replace(HASTY, trust=TrustOptions(certificates=((registry.host, str(files["ca"])),)))
        with client(trusting) as ours, pytest.raises(TransportError, match="certificate is not trusted") as caught:
            ours.get_manifest(Reference(registry.host, "a", "x"))
        assert "the name that the certificate is for" in str(caught.value.hint)


def test_a_client_certificate(tmp_path: Path, files: dict[str, Path]) -> None:
    with docker_registry(tmp_path, tls=Tls(files["server"], files["server-key"], files["ca"])) as registry:
        reference = Reference(registry.host, "team/app", "one")
        trusting = replace(HASTY, trust=TrustOptions(certificates=((registry.host, str(files["ca"])),)))
        ours_too = replace(
            trusting, trust=replace(trusting.trust, client_certificates=((registry.host, str(files["us"]), str(files["us-key"])),))
        )
        with client(ours_too) as ours:
            push_image(ours, reference, small_image())
        with client(trusting) as ours, pytest.raises(TransportError) as caught:
            ours.get_manifest(reference)
        assert "--registry-client-cert" in str(caught.value.hint)


def test_a_certificate_file_that_is_none(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("not a certificate")
    for path in (str(broken), str(tmp_path / "missing.pem")):
        options = RegistryOptions(TrustOptions(certificates=(("127.0.0.1:9", path),)), retry=RetryPolicy(1))
        with client(options) as ours, pytest.raises(UsageError, match="registry certificate"):
            ours.get_manifest(Reference("127.0.0.1:9", "a", "x"))


def test_plain_http_where_only_tls_is_allowed(registry: Registry) -> None:
    """A name that is not near is never spoken to in plain HTTP; here it is reached through an address of loopback."""
    transport = Transport(HASTY, discard, Cancel())
    authorizer = Authorizer(registry.host, Keychain(), transport, Trust())
    session = Session(registry.host, Route(registry.host, ("https",)), Trust(), transport, authorizer, 4)
    with pytest.raises(TransportError) as caught:
        session.send(Call("GET", "/v2/", "", ()))
    assert f"--insecure-registry {registry.host}" in str(caught.value.hint)
    assert "attempts" not in caught.value.message, "it never passes, so it is asked once"


def test_the_default_context_verifies() -> None:
    assert tls_context(Trust()).verify_mode == ssl.CERT_REQUIRED
    assert tls_context(Trust()).check_hostname
