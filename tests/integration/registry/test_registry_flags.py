"""Flags and variables about registries, from the command line to real registries."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.cloud import Asked, cloud
from tests.integration.registry.images import client, push_image, small_image
from tests.programs import gazami
from tests.services import Registry, Tls, docker_registry, free_port

from gazami.image.reference import Reference
from gazami.registry.options import RegistryOptions, TrustOptions
from gazami.registry.retry import RetryPolicy

pytestmark = pytest.mark.service

ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    users = (("ada", "pw"), ("AWS", "ecr-password"), ("oauth2accesstoken", "ya29.token"))
    with docker_registry(tmp_path_factory.mktemp("private"), htpasswd=users) as running:
        yield running


def build(place: Path, *arguments: str, text: str = "FROM scratch\nLABEL a=b\n", **environ: str) -> tuple[int, str]:
    """The status and what was said, with nothing in the environment but ``environ``."""
    (place / "context").mkdir(exist_ok=True)
    (place / "context/Dockerfile").write_text(text)
    done = gazami(
        "build", str(place / "context"), f"--state-dir={place / 'state'}", *arguments, env={"HOME": str(place), **environ}
    )
    return done.returncode, done.stderr


def test_a_job_of_gitlab_needs_no_file(private: Registry, tmp_path: Path) -> None:
    variables = {"CI_REGISTRY": private.host, "CI_REGISTRY_USER": "ada", "CI_REGISTRY_PASSWORD": "pw"}
    status, said = build(tmp_path, "-d", f"{private.host}/group/app:1", **variables)
    assert status == 0, said
    status, said = build(tmp_path, "-d", f"{private.host}/group/app:1", "--credential-helpers=env", **variables)
    assert status == 1 and "status 401" in said


def test_variables_of_a_host(private: Registry, tmp_path: Path) -> None:
    status, said = build(tmp_path, "-d", f"{private.host}/a:1", KANIKO_127_0_0_1_USER="ada", KANIKO_127_0_0_1_PASSWORD="pw")
    assert status == 0, said


def test_helpers_that_there_are_not(private: Registry, tmp_path: Path) -> None:
    status, said = build(
        tmp_path, "-d", f"{private.host}/a:1", "--credential-helpers=magic", KANIKO_127_0_0_1_USER="ada",
        KANIKO_127_0_0_1_PASSWORD="pw",
    )  # fmt: skip
    assert status == 1 and "unknown helper 'magic'" in said and "error checking push permissions" in said
    status, said = build(
        tmp_path, "-d", f"{private.host}/a:1", "--credential-helpers=", KANIKO_127_0_0_1_USER="ada",
        KANIKO_127_0_0_1_PASSWORD="secret-pw",
    )  # fmt: skip
    assert status == 1 and "401" in said and "secret-pw" not in said


def test_the_variable_with_docker_json_goes_first(private: Registry, tmp_path: Path) -> None:
    entry = {"auths": {private.host: {"auth": base64.b64encode(b"ada:pw").decode()}}}
    variables = {"CI_REGISTRY": private.host, "CI_REGISTRY_USER": "ada", "CI_REGISTRY_PASSWORD": "wrong"}
    status, said = build(tmp_path, "-d", f"{private.host}/a:1", DOCKER_AUTH_CONFIG=json.dumps(entry), **variables)
    assert status == 0, said


def through(registry: Registry, fake_url: str) -> dict[str, str]:
    """The real registry as an HTTP proxy: so it answers for a host that is Amazon's. TLS leads nowhere."""
    return {
        "HTTP_PROXY": f"http://{registry.host}", "HTTPS_PROXY": f"http://127.0.0.1:{free_port()}",
        "AWS_ENDPOINT_URL_ECR": fake_url,
    }  # fmt: skip


@pytest.mark.parametrize("helper", [None, "ecr-login"])
def test_a_push_to_ecr_with_a_web_identity(private: Registry, tmp_path: Path, helper: str | None) -> None:
    """Also where a config of kaniko's names a program that is not installed here."""
    if helper:
        (tmp_path / ".docker").mkdir()
        (tmp_path / ".docker/config.json").write_text(json.dumps({"credsStore": helper}))
    (tmp_path / "token").write_text("pod-token")
    with cloud() as fake:
        token = base64.b64encode(b"AWS:ecr-password").decode()
        fake.answers["POST /"] = lambda asked: (
            {"authorizationData": [{"authorizationToken": token, "expiresAt": time.time() + 43200}]}
            if "x-amz-target" in asked.headers
            else "<a><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>t</SessionToken></a>"
        )
        environ = {
            **through(private, fake.url), "AWS_ENDPOINT_URL_STS": fake.url, "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        }  # fmt: skip
        status, said = build(tmp_path, "-d", f"{ECR}/team/app:1", f"--insecure-registry={ECR}", **environ)
        assert status == 0, said
        assert len(fake.asked) == 2, "one token for the check and the push"


def test_repositories_of_ecr_are_created(private: Registry, tmp_path: Path) -> None:
    """Those of the image and of the cache; one that is there, or that may not be made, does not end the build."""
    made: list[str] = []

    def answer(asked: Asked) -> dict[str, object] | tuple[int, str]:
        operation = asked.headers["x-amz-target"].partition(".")[2]
        if operation == "GetAuthorizationToken":
            token = base64.b64encode(b"AWS:ecr-password").decode()
            return {"authorizationData": [{"authorizationToken": token, "expiresAt": time.time() + 43200}]}
        wanted = json.loads(asked.body)
        assert operation == "CreateRepository" and wanted["registryId"] == ECR.partition(".")[0]
        name = wanted["repositoryName"]
        if name in made:
            return 400, json.dumps({"__type": "RepositoryAlreadyExistsException", "message": f"{name} already exists"})
        if name == "team/forbidden":
            return 400, json.dumps({"__type": "AccessDeniedException", "message": "ecr:CreateRepository is not allowed"})
        made.append(name)
        return {"repository": {"repositoryName": name}}

    with cloud() as fake:
        fake.answers["POST /"] = answer
        environ = {**through(private, fake.url), "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cret"}
        words = ("--create-repository", "--cache", f"--insecure-registry={ECR}")
        status, said = build(tmp_path, "-d", f"{ECR}/team/app:1", *words, **environ)
        assert status == 0, said
        assert made == ["team/app", "team/app/cache"] and f"Created the repository {ECR}/team/app/cache" in said
        status, said = build(tmp_path, "-d", f"{ECR}/team/app:2", "-d", f"{ECR}/team/forbidden:2", *words, **environ)
        assert status == 0, said
        assert "Created" not in said and f"cannot create the repository {ECR}/team/forbidden" in said
        assert "AccessDeniedException" in said
        before = len(fake.asked)
        assert build(tmp_path, "-d", f"{private.host}/other:1", "--create-repository", KANIKO_LOCALHOST_USER="x", **environ)
        assert not [each for each in fake.asked[before:] if "CreateRepository" in each.headers["x-amz-target"]]


def test_a_push_to_google_with_workload_identity(private: Registry, tmp_path: Path) -> None:
    host = "europe-west3-docker.pkg.dev"
    with cloud() as fake:
        path = "/computeMetadata/v1/instance/service-accounts/default/token"
        fake.answers[f"GET {path}"] = {"access_token": "ya29.token", "expires_in": 3599}
        environ = {**through(private, ""), "GCE_METADATA_HOST": fake.host}
        status, said = build(tmp_path, "-d", f"{host}/p/r/app:1", f"--insecure-registry={host}", **environ)
        assert status == 0, said
        assert fake.count(path) == 1
        look_alike = f"{host}.evil.test"
        status, said = build(tmp_path, "-d", f"{look_alike}/p/app:1", f"--insecure-registry={look_alike}", **environ)
        assert status == 1 and "401" in said and fake.count(path) == 1, "nothing is asked for another host"


def test_a_refusal_tells_who_was_asked(private: Registry, tmp_path: Path) -> None:
    with cloud() as fake:
        fake.answers["POST /"] = (400, '{"message": "The security token included in the request is expired"}')
        environ = {**through(private, fake.url), "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hunter2"}
        status, said = build(tmp_path, "-d", f"{ECR}/team/app:1", f"--insecure-registry={ECR}", **environ)
    said = " ".join(said.split())
    assert status == 1 and "Amazon ECR: " in said and "security token included in the request is expired" in said
    assert "error checking push permissions" in said and "hunter2" not in said


@pytest.mark.parametrize("key", ["docker.io", "index.docker.io"])
def test_a_base_from_a_mirror(registry: Registry, repository: str, tmp_path: Path, key: str) -> None:
    with client() as ours:
        push_image(ours, Reference(registry.host, f"mirror/{repository}", "1"), small_image())
    for arguments, environ in (
        ((f"--registry-map={key}={registry.host}/mirror",), {}),
        ((f"--registry-mirror={registry.host}/mirror",), {}),
        ((), {"KANIKO_REGISTRY_MAP": f"{key}={registry.host}/mirror"}),
        ((), {"KANIKO_REGISTRY_MIRROR": f"http://{registry.host}/mirror"}),
    ):
        status, said = build(
            tmp_path, "--no-push", "--skip-default-registry-fallback", *arguments, text=f"FROM {repository}:1\n", **environ
        )
        assert status == 0, said
        assert registry.host not in said, "names stay the original ones"


def test_mirrors_that_do_not_have_it(registry: Registry, tmp_path: Path) -> None:
    status, said = build(
        tmp_path, "--no-push", f"--registry-mirror={registry.host}", "--skip-default-registry-fallback",
        text="FROM no/such:1\n",
    )  # fmt: skip
    said = " ".join(said.split())
    assert status == 1 and "image not found on any configured mapped registries for index.docker.io" in said
    status, said = build(tmp_path, "--no-push", "--registry-mirror=ftp://x")
    assert status == 1 and "--registry-mirror" in said


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Registry, Path]]:
    """A registry with TLS, and the certificate of its authority."""
    place = tmp_path_factory.mktemp("secure")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    (place / "server.pem").write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(place / "key.pem"))
    (place / "authorities").mkdir()
    authority.cert_pem.write_to_path(str(place / "authorities/corp.crt"))
    with docker_registry(place, tls=Tls(place / "server.pem", place / "key.pem")) as running:
        yield running, place / "authorities/corp.crt"


def test_authorities_of_every_kind(secure: tuple[Registry, Path], tmp_path: Path) -> None:
    """Files of SSL_CERT_DIR need no hashed names, as with Go's programs."""
    registry, authority = secure
    destination = ("-d", f"{registry.host}/app:1")
    good: list[tuple[tuple[str, ...], dict[str, str]]] = [
        ((f"--registry-certificate={registry.host}={authority}",), {}),
        (("--skip-tls-verify",), {}),
        ((f"--skip-tls-verify-registry={registry.host}",), {}),
        ((), {"SSL_CERT_FILE": str(authority)}),
        ((), {"SSL_CERT_DIR": f"/nowhere:{authority.parent}"}),
    ]
    for arguments, environ in good:
        status, said = build(tmp_path, *destination, *arguments, **environ)
        assert status == 0, (arguments, environ, said)
    for arguments in ((), ("--skip-tls-verify-pull",), (f"--registry-certificate=localhost={authority}",)):
        status, said = build(tmp_path, *destination, *arguments)
        assert status == 1 and "certificate is not trusted" in said and "--registry-certificate" in said


def test_pulls_without_verification(secure: tuple[Registry, Path], tmp_path: Path) -> None:
    registry, authority = secure
    subprocess.run(
        ["skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", f"oci:{_layout(tmp_path)}:x",
         f"docker://{registry.host}/base:1"],
        check=True, capture_output=True,
    )  # fmt: skip
    text = f"FROM {registry.host}/base:1\n"
    assert build(tmp_path, "--no-push", text=text)[0] == 1
    for flag in ("--skip-tls-verify-pull", "--skip-tls-verify", f"--registry-certificate={registry.host}={authority}"):
        status, said = build(tmp_path, "--no-push", flag, text=text)
        assert status == 0, said


def test_a_mirror_with_tls(secure: tuple[Registry, Path], tmp_path: Path) -> None:
    """The options about TLS are those of the mirror's host, whatever the image is called."""
    registry, authority = secure
    options = RegistryOptions(TrustOptions(skip_tls_verify=True), retry=RetryPolicy(2, 0.01))
    with client(options) as ours:
        push_image(ours, Reference(registry.host, "library/small", "1"), small_image())
    flags = ("--no-push", f"--registry-mirror=https://{registry.host}", "--skip-default-registry-fallback")
    for more in (f"--registry-certificate={registry.host}={authority}", f"--skip-tls-verify-registry={registry.host}"):
        status, said = build(tmp_path, *flags, more, text="FROM small:1\n")
        assert status == 0, said
    status, said = build(tmp_path, *flags, "--skip-tls-verify-registry=index.docker.io", text="FROM small:1\n")
    assert status == 1 and "certificate is not trusted" in said


def _layout(place: Path) -> Path:
    status, said = build(place, "--no-push", f"--oci-layout-path={place / 'layout'}")
    assert status == 0, said
    index = json.loads((place / "layout/index.json").read_text())
    index["manifests"][0].setdefault("annotations", {})["org.opencontainers.image.ref.name"] = "x"
    (place / "layout/index.json").write_text(json.dumps(index))
    return place / "layout"
