"""Credentials of the clouds, from servers that answer as the clouds' own do; and a registry that asks for them."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.cloud import Asked, Cloud, cloud
from tests.services import end, free_port, wait_for_port

from gazami.cancel import Cancel
from gazami.events import discard
from gazami.registry.credentials import Credential, Lookup
from gazami.registry.options import RegistryOptions
from gazami.registry.providers.azure import azure
from gazami.registry.providers.choose import Providers
from gazami.registry.providers.ecr import ecr
from gazami.registry.providers.google import google
from gazami.registry.providers.web import Web
from gazami.registry.retry import RetryPolicy
from gazami.registry.transport import Transport

pytestmark = pytest.mark.service

PRIVATE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
OPTIONS = RegistryOptions(retry=RetryPolicy(attempts=3, base=0.005))


@pytest.fixture
def fake() -> Iterator[Cloud]:
    with cloud() as running:
        yield running


@pytest.fixture
def web() -> Iterator[Web]:
    transport = Transport(OPTIONS, discard, Cancel())
    yield Web(transport)
    transport.close()


def later(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def token(user: str = "AWS", password: str = "ecr-password") -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def jwt(**claims: object) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in ({"alg": "x"}, claims))
    return ".".join((*parts, "signature"))


def ecr_answers(fake: Cloud, lifetime: float = 43200) -> None:
    fake.answers["POST /"] = lambda asked: (
        {"authorizationData": [{"authorizationToken": token(), "expiresAt": time.time() + lifetime}]}
        if "ECR" in asked.headers.get("x-amz-target", "") or "ContainerRegistry" in asked.headers.get("x-amz-target", "")
        else {"authorizationData": {"authorizationToken": token("AWS", "public")}}
    )


def signer(asked: Asked) -> str:
    """The access key that a request is signed with."""
    return asked.headers["authorization"].partition("Credential=")[2].partition("/")[0]


# Amazon


def test_ecr_with_keys_of_the_environment(fake: Cloud, web: Web) -> None:
    ecr_answers(fake)
    environ = {
        "AWS_ENDPOINT_URL_ECR": fake.url, "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cret",
        "AWS_SESSION_TOKEN": "session",
    }  # fmt: skip
    source = ecr(environ, web)
    found = source.lookup(PRIVATE, "team/app")
    assert found.credential == Credential("AWS", "ecr-password") and found.until is not None
    assert source.lookup(PRIVATE, "other") is found and len(fake.asked) == 1, "one answer serves the whole build"
    (asked,) = fake.asked
    assert json.loads(asked.body) == {"registryIds": ["123456789012"]} and signer(asked) == "AKID"
    assert asked.headers["x-amz-security-token"] == "session" and "/eu-central-1/ecr/" in asked.headers["authorization"]
    assert source.lookup(f"{PRIVATE}.evil.test", "a") == Lookup() and len(fake.asked) == 1


def test_ecr_public(fake: Cloud, web: Web) -> None:
    ecr_answers(fake)
    environ = {"AWS_ENDPOINT_URL": fake.url, "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    found = ecr(environ, web).lookup("public.ecr.aws", "docker/library/alpine")
    assert found.credential == Credential("AWS", "public")
    assert fake.asked[0].headers["x-amz-target"] == "SpencerFrontendService.GetAuthorizationToken"
    assert "/us-east-1/ecr-public/" in fake.asked[0].headers["authorization"]


def test_ecr_with_a_web_identity(fake: Cloud, web: Web, tmp_path: Path) -> None:
    """IAM roles for service accounts: the pod has a token, STS gives keys for it."""
    ecr_answers(fake)

    def post(asked: Asked) -> dict[str, object] | str:
        if "x-amz-target" in asked.headers:
            return {"authorizationData": [{"authorizationToken": token(), "expiresAt": time.time() + 43200}]}
        assert asked.form["WebIdentityToken"] == "pod-token" and asked.form["RoleArn"] == "arn:aws:iam::1:role/push"
        return (
            "<AssumeRoleWithWebIdentityResponse><Credentials><AccessKeyId>ASIA1</AccessKeyId>"
            "<SecretAccessKey>k&amp;y</SecretAccessKey><SessionToken>t0</SessionToken>"
            f"<Expiration>{later(3600)}</Expiration></Credentials></AssumeRoleWithWebIdentityResponse>"
        )

    fake.answers["POST /"] = post
    (tmp_path / "token").write_text("pod-token\n")
    environ = {
        "AWS_ENDPOINT_URL": fake.url, "AWS_ROLE_ARN": "arn:aws:iam::1:role/push",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_REGION": "eu-central-1",
    }  # fmt: skip
    found = ecr(environ, web).lookup(PRIVATE, "a")
    assert found.credential == Credential("AWS", "ecr-password") and "role/push" in found.asked[0]
    assert signer(fake.asked[1]) == "ASIA1" and fake.asked[1].headers["x-amz-security-token"] == "t0"


def test_ecr_with_a_profile(fake: Cloud, web: Web, tmp_path: Path) -> None:
    ecr_answers(fake)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text("[ci]\naws_access_key_id = AKCI\naws_secret_access_key = x%y\n")
    (tmp_path / ".aws/config").write_text("[profile sso]\nsso_session = corp\n[default]\nregion = eu-west-1\n")
    environ = {"AWS_ENDPOINT_URL_ECR": fake.url, "HOME": str(tmp_path), "AWS_PROFILE": "ci", "AWS_ACCESS_KEY_ID": "no"}
    assert ecr(environ, web).lookup(PRIVATE, "a").credential == Credential("AWS", "ecr-password")
    assert signer(fake.asked[0]) == "AKCI"
    off = {"AWS_EC2_METADATA_DISABLED": "true"}
    missing = ecr({**off, "HOME": str(tmp_path), "AWS_PROFILE": "none"}, web).lookup(PRIVATE, "a")
    assert missing.credential is None and "no AWS profile 'none'" in missing.asked[0]
    nothing = ecr({**off, "HOME": str(tmp_path)}, web).lookup(PRIVATE, "a")
    assert nothing.credential is None and "no AWS credentials" in nothing.asked[0]


def test_ecr_with_the_credentials_of_a_container(fake: Cloud, web: Web, tmp_path: Path) -> None:
    """EKS Pod Identity: an agent on a link-local address, and a token in a file."""
    ecr_answers(fake)
    keys = {"AccessKeyId": "ASPOD", "SecretAccessKey": "x", "Token": "t", "Expiration": later(3600)}
    fake.answers["GET /v1/credentials"] = lambda asked: (
        keys if asked.headers.get("authorization") == "pod-identity" else (403, "who?")
    )
    (tmp_path / "token").write_text("pod-identity")
    environ = {
        "AWS_ENDPOINT_URL_ECR": fake.url, "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{fake.url}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
    }  # fmt: skip
    assert ecr(environ, web).lookup(PRIVATE, "a").credential == Credential("AWS", "ecr-password")
    assert signer(fake.asked[-1]) == "ASPOD"
    far = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.test/x", "AWS_EC2_METADATA_DISABLED": "true"}
    assert "neither https" in ecr(far, web).lookup(PRIVATE, "a").asked[0]


def test_ecr_with_the_role_of_an_instance(fake: Cloud, web: Web) -> None:
    ecr_answers(fake)
    role = "/latest/meta-data/iam/security-credentials/"

    def guarded(answer: str | dict[str, str]) -> object:
        return lambda asked: answer if asked.headers.get("x-aws-ec2-metadata-token") == "imds" else (401, "")

    fake.answers["PUT /latest/api/token"] = "imds"
    fake.answers[f"GET {role}"] = guarded("builder\n")  # type: ignore[assignment]
    keys = {"AccessKeyId": "ASEC2", "SecretAccessKey": "x", "Token": "t", "Expiration": later(3600)}
    fake.answers[f"GET {role}builder"] = guarded(keys)  # type: ignore[assignment]
    environ = {"AWS_ENDPOINT_URL_ECR": fake.url, "AWS_EC2_METADATA_SERVICE_ENDPOINT": fake.url}
    found = ecr(environ, web).lookup(PRIVATE, "a")
    assert found.credential == Credential("AWS", "ecr-password") and "role builder" in found.asked[0]
    assert signer(fake.asked[-1]) == "ASEC2"


def test_ecr_says_what_amazon_said(fake: Cloud, web: Web) -> None:
    fake.answers["POST /"] = (400, '{"__type": "UnrecognizedClientException", "message": "The security token is invalid"}')
    environ = {"AWS_ENDPOINT_URL": fake.url, "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    (said,) = ecr(environ, web).lookup(PRIVATE, "a").asked
    assert "status 400" in said and "security token is invalid" in said and "AWS_ACCESS_KEY_ID" in said
    assert "s3cret" not in said


def test_a_metadata_service_that_is_not_there_costs_little(web: Web) -> None:
    """A documentation address (RFC 5737) swallows packets, or has no route: either way it is quick."""
    began = time.monotonic()
    found = ecr({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://192.0.2.1"}, web).lookup(PRIVATE, "a")
    assert found.credential is None and time.monotonic() - began < 3


@pytest.mark.skipif(shutil.which("moto_server", path=str(Path(sys.executable).parent)) is None, reason="no moto_server")
def test_the_same_against_moto(web: Web, tmp_path: Path) -> None:
    """Another's idea of STS and ECR: a web identity becomes keys, and keys become a password."""
    port = free_port()
    program = str(Path(sys.executable).parent / "moto_server")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    try:
        assert wait_for_port(port, process), (tmp_path / "log").read_text()
        (tmp_path / "token").write_text("pod-token")
        environ = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        }  # fmt: skip
        found = ecr(environ, web).lookup(PRIVATE, "a")
        assert found.credential is not None and found.credential.username == "AWS", found.asked
        assert "role/r" in found.asked[0]
    finally:
        end(process)


# Google


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_google_with_a_service_account(fake: Cloud, web: Web, tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    def issue(asked: Asked) -> dict[str, object]:
        message, _, signature = asked.form["assertion"].rpartition(".")
        raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        rsa_key.public_key().verify(raw, message.encode(), padding.PKCS1v15(), hashes.SHA256())
        body = message.partition(".")[2]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        assert claims["iss"] == "ci@p.test" and claims["aud"] == f"{fake.url}/token" and claims["exp"] > time.time()
        return {"access_token": "ya29.sa", "expires_in": 3599}

    fake.answers["POST /token"] = issue
    pem = rsa_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = {
        "type": "service_account", "client_email": "ci@p.test", "private_key": pem.decode(), "private_key_id": "1",
        "token_uri": f"{fake.url}/token",
    }  # fmt: skip
    (tmp_path / "key.json").write_text(json.dumps(key))
    source = google({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json")}, web)
    found = source.lookup("europe-west3-docker.pkg.dev", "p/r/app")
    assert found.credential == Credential("oauth2accesstoken", "ya29.sa") and "ci@p.test" in found.asked[0]
    assert source.lookup("pkg.dev.evil.test", "p") == Lookup()


def test_google_with_a_refresh_token(fake: Cloud, web: Web, tmp_path: Path) -> None:
    fake.answers["POST /token"] = lambda asked: {"access_token": f"ya29.{asked.form['refresh_token']}"}
    key = {
        "type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r1",
        "token_uri": f"{fake.url}/token",
    }  # fmt: skip
    (tmp_path / ".config/gcloud").mkdir(parents=True)
    (tmp_path / ".config/gcloud/application_default_credentials.json").write_text(json.dumps(key))
    found = google({"HOME": str(tmp_path)}, web).lookup("gcr.io", "p/app")
    assert found.credential == Credential("oauth2accesstoken", "ya29.r1")


def test_google_with_the_metadata_service(fake: Cloud, web: Web) -> None:
    """GKE's workload identity and machines of Compute Engine; a token that ends is asked for again."""
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    fake.answers[f"GET {path}"] = lambda asked: (
        {"access_token": f"ya29.{fake.count(path)}", "expires_in": 0.02}
        if asked.headers.get("metadata-flavor") == "Google"
        else (403, "")
    )
    source = google({"GCE_METADATA_HOST": fake.host}, web)
    first = source.lookup("eu.gcr.io", "p/app").credential
    time.sleep(0.05)
    second = source.lookup("eu.gcr.io", "p/app").credential
    assert first == Credential("oauth2accesstoken", "ya29.1") and second == Credential("oauth2accesstoken", "ya29.2")


def test_a_metadata_service_that_is_just_starting(fake: Cloud, web: Web) -> None:
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    fake.answers[f"GET {path}"] = lambda asked: (
        (503, "not yet") if fake.count(path) < 3 else {"access_token": "ya29.late", "expires_in": 3599}
    )
    found = google({"GCE_METADATA_HOST": fake.host}, web).lookup("gcr.io", "a")
    assert found.credential == Credential("oauth2accesstoken", "ya29.late")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "not a file of Google credentials"),
        ("nonsense", "not a file of Google credentials"),
        ('{"type": "authorized_user"}', "has no client_id"),
        ('{"type": "service_account", "client_email": "x", "private_key": "none"}', "not a PEM key"),
    ],
)
def test_google_with_a_bad_file(web: Web, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "key.json").write_text(text)
    found = google({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json")}, web).lookup("gcr.io", "a")
    assert found.credential is None and said in found.asked[0]


def test_google_without_anything(web: Web) -> None:
    found = google({"GCE_METADATA_HOST": f"127.0.0.1:{free_port()}"}, web).lookup("gcr.io", "distroless/static")
    assert found.credential is None and "no metadata service" in found.asked[0]
    assert google({"NO_GCE_CHECK": "true"}, web).lookup("gcr.io", "a").credential is None


def test_google_federation_needs_the_extra(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "google.auth", None)
    (tmp_path / "key.json").write_text('{"type": "external_account"}')
    found = google({"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json")}, web).lookup("gcr.io", "a")
    assert found.credential is None and "pip install google-auth requests cryptography" in found.asked[0]


# Azure


@pytest.fixture
def entra(fake: Cloud) -> Cloud:
    def issue(asked: Asked) -> dict[str, str] | tuple[int, str]:
        form = asked.form
        if form.get("client_secret") == "s3cret" or form.get("client_assertion") == "federated":
            assert form["client_id"] == "app" and form["scope"] == "https://containerregistry.azure.net/.default"
            return {"access_token": "entra"}
        return 401, '{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret"}'

    def exchange(asked: Asked) -> dict[str, str] | tuple[int, str]:
        form = asked.form
        if form["access_token"] not in ("entra", "managed") or form["service"] != "team.azurecr.io":
            return 401, '{"errors": [{"code": "UNAUTHORIZED", "message": "no"}]}'
        return {"refresh_token": jwt(exp=time.time() + 1000)}

    fake.answers["POST /tenant/oauth2/v2.0/token"] = issue
    fake.answers["POST /oauth2/exchange"] = exchange
    return fake


@pytest.mark.parametrize("how", ["secret", "file", "variable"])
def test_azure_with_a_client(entra: Cloud, web: Web, tmp_path: Path, how: str) -> None:
    (tmp_path / "token").write_text("federated")
    proof = {
        "secret": {"AZURE_CLIENT_SECRET": "s3cret"},
        "file": {"AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token")},
        "variable": {"AZURE_FEDERATED_TOKEN": "federated"},
    }[how]
    environ = {"AZURE_CLIENT_ID": "app", "AZURE_TENANT_ID": "tenant", "AZURE_AUTHORITY_HOST": entra.url, **proof}
    source = azure(environ, web, root=lambda registry: entra.url)
    found = source.lookup("team.azurecr.io", "app")
    assert found.credential is not None and found.credential.username == "00000000-0000-0000-0000-000000000000"
    assert found.until is not None and found.until - time.monotonic() < 1000, "as long as the token says"
    assert source.lookup("team.azurecr.io.evil.test", "app") == Lookup()
    assert [each.path for each in entra.asked] == ["/tenant/oauth2/v2.0/token", "/oauth2/exchange"]


@pytest.mark.parametrize("where", ["machine", "app", "old app"])
def test_azure_with_a_managed_identity(entra: Cloud, web: Web, where: str) -> None:
    def identity(asked: Asked) -> dict[str, str] | tuple[int, str]:
        good = {
            "machine": asked.headers.get("metadata") == "true" and asked.query["api-version"] == "2018-02-01",
            "app": asked.headers.get("x-identity-header") == "h" and asked.query["api-version"] == "2019-08-01",
            "old app": asked.headers.get("secret") == "h" and asked.query.get("clientid") == "mine",
        }[where]
        return {"access_token": "managed"} if good else (400, "")

    entra.answers["GET /metadata/identity/oauth2/token"] = identity
    environ = {
        "machine": {"AZURE_POD_IDENTITY_AUTHORITY_HOST": entra.url},
        "app": {"IDENTITY_ENDPOINT": f"{entra.url}/metadata/identity/oauth2/token", "IDENTITY_HEADER": "h"},
        "old app": {
            "MSI_ENDPOINT": f"{entra.url}/metadata/identity/oauth2/token", "MSI_SECRET": "h", "AZURE_CLIENT_ID": "mine",
        },
    }[where]  # fmt: skip
    found = azure(environ, web, root=lambda registry: entra.url).lookup("team.azurecr.io", "app")
    assert found.credential is not None and "managed identity" in found.asked[0]


def test_azure_says_what_entra_said(entra: Cloud, web: Web) -> None:
    environ = {
        "AZURE_CLIENT_ID": "app", "AZURE_TENANT_ID": "tenant", "AZURE_AUTHORITY_HOST": entra.url,
        "AZURE_CLIENT_SECRET": "wrong-one",
    }  # fmt: skip
    (said,) = azure(environ, web).lookup("team.azurecr.io", "app").asked
    assert "AADSTS7000215" in said and "wrong-one" not in said
    without = azure({"AZURE_CLIENT_SECRET": "x"}, web).lookup("team.azurecr.io", "app")
    assert "AZURE_TENANT_ID" in without.asked[0]


# which are asked


def test_only_wanted_providers_are_asked(fake: Cloud) -> None:
    transport = Transport(OPTIONS, discard, Cancel())
    environ = {
        "CI_REGISTRY": "r.test", "CI_REGISTRY_USER": "job", "CI_REGISTRY_PASSWORD": "x",
        "KANIKO_R_TEST_USER": "k", "KANIKO_R_TEST_PASSWORD": "y",
    }  # fmt: skip

    def user(*names: str) -> str | None:
        found = Providers(names, environ, transport).lookup("r.test", "a").credential
        return found and found.username

    assert user("gitlab", "env") == "k", "in the table's order"
    assert user("gitlab", "unknown") == "job" and user() is None
    assert not fake.asked
    transport.close()
