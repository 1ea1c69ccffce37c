"""Contexts in object stores."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.cloud import cloud
from tests.integration.context.test_contexts import FILES, build, tar
from tests.services import end, free_port, wait_for_port

from gazami.cancel import Cancel
from gazami.context.objects import blob, bucket_and_object, gcs, is_blob_url, s3
from gazami.errors import ContextError, UsageError
from gazami.events import discard
from gazami.registry.options import RegistryOptions
from gazami.registry.providers.web import Web
from gazami.registry.transport import Transport

pytestmark = pytest.mark.service
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI"}
NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    program = Path(sys.executable).with_name("moto_server")
    server = subprocess.Popen(
        [str(program), "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_port(port, server)
        url = f"http://127.0.0.1:{port}"
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.create_bucket(Bucket="ctx")
        for key in ("context.tar.gz", "deep/a b+c.tgz"):
            client.put_object(Bucket="ctx", Key=key, Body=tar(*FILES, mode="w:gz"), ACL="public-read")
        yield url
    finally:
        end(server)


@pytest.fixture
def web() -> Iterator[Web]:
    transport = Transport(RegistryOptions(), discard, Cancel())
    yield Web(transport)
    transport.close()


def test_s3(moto: str, tmp_path: Path) -> None:
    environ = {**KEYS, "S3_ENDPOINT": moto, "S3_FORCE_PATH_STYLE": "true"}
    assert "sub/f" in build(tmp_path, "s3://ctx/deep/a b+c.tgz", **environ).files
    assert "sub/f" in build(tmp_path, "s3://ctx", **environ).files
    assert "sub/f" in build(tmp_path, "", "--bucket=s3://ctx/context.tar.gz", **environ).files
    missing = build(tmp_path, "s3://ctx/nothing", **environ)
    assert missing.status == 1 and "NoSuchKey" in missing.log
    nobody = build(tmp_path, "s3://ctx", S3_ENDPOINT=moto, S3_FORCE_PATH_STYLE="true")
    assert nobody.status == 1 and "no AWS credentials" in nobody.log and "AWS_ACCESS_KEY_ID" in nobody.log


def test_s3_with_a_profile(moto: str, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text("[ci]\naws_access_key_id = A\naws_secret_access_key = B\n")
    environ = {"AWS_PROFILE": "ci", "S3_ENDPOINT": moto, "S3_FORCE_PATH_STYLE": "true"}
    assert "sub/f" in build(tmp_path, "s3://ctx", **environ).files


@pytest.mark.parametrize("name", ["context.tar.gz", "a/b c+d=e~f.tgz", "ü.tar"])
def test_s3_signatures_are_those_of_botocore(name: str, web: Web) -> None:
    found = s3(f"bucket/{name}", {**KEYS, "AWS_REGION": "eu-west-1"}, web, lambda: NOW)
    ours = dict(found.authorize(()))
    request = AWSRequest("GET", found.url, headers={"X-Amz-Content-Sha256": ours["X-Amz-Content-Sha256"]})
    signer = S3SigV4Auth(Credentials(*KEYS.values()), "s3", "eu-west-1")
    request.context["timestamp"] = NOW.strftime("%Y%m%dT%H%M%SZ")
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert ours["Authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "https://b.s3.us-east-1.amazonaws.com/o"),
        ({"AWS_REGION": "cn-north-1"}, "https://b.s3.cn-north-1.amazonaws.com.cn/o"),
        ({"S3_ENDPOINT": "https://minio:9000"}, "https://b.minio:9000/o"),
        ({"S3_ENDPOINT": "https://minio:9000", "S3_FORCE_PATH_STYLE": "TRUE"}, "https://minio:9000/b/o"),
        ({"AWS_ENDPOINT_URL_S3": "http://x/"}, "http://x/b/o"),
    ],
)
def test_where_a_bucket_is(environ: dict[str, str], url: str, web: Web) -> None:
    bucket = "bb"
    assert s3(f"{bucket}/o", {**KEYS, **environ}, web, lambda: NOW).url == url.replace("//b.", "//bb.").replace("/b/", "/bb/")


def test_gcs(moto: str, tmp_path: Path, web: Web) -> None:
    """The XML API has the shape of S3's, so an S3 server stands in for it."""
    assert "sub/f" in build(tmp_path, "gs://ctx/deep/a b+c.tgz", STORAGE_EMULATOR_HOST=moto).files
    assert "sub/f" in build(tmp_path, "", "--bucket=ctx", STORAGE_EMULATOR_HOST=moto).files
    with cloud() as fake:
        path = "/computeMetadata/v1/instance/service-accounts/default/token"
        fake.answers[f"GET {path}"] = {"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"}
        found = gcs("b-c/o p", {"GCE_METADATA_HOST": fake.host}, web)
        assert found.url == "https://storage.googleapis.com/b-c/o%20p"
        assert found.authorize(()) == (("Authorization", "Bearer ya29.token"),)
    nobody = build(tmp_path, "gs://ctx", GCE_METADATA_HOST="127.0.0.1:1")
    assert nobody.status == 1 and "GOOGLE_APPLICATION_CREDENTIALS" in nobody.log


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("https://acct.blob.core.windows.net/c/o", True),
        ("https://acct.blob.core.chinacloudapi.cn/c/o", True),
        ("https://acct.blob.core.cloudapi.de/c/o", True),
        ("https://acct.blob.core.usgovcloudapi.net/c/o", True),
        ("https://acct.blob.core.windows.net.evil.example/c/o", False),
        ("https://evil.example/acct.blob.core.windows.net/c/o", False),
        ("https://a.b.blob.core.windows.net/c/o", False),
        ("http://acct.blob.core.windows.net/c/o", False),
        ("https://acct.blob.core.windows.net@evil.example/c", False),
    ],
)
def test_what_is_azure(url: str, is_one: bool) -> None:
    assert is_blob_url(url) is is_one


def test_azure_without_credentials(web: Web) -> None:
    with pytest.raises(UsageError, match="not base64"):
        blob("https://acct.blob.core.windows.net/c/o", {"AZURE_STORAGE_ACCESS_KEY": "!"}, web, lambda: NOW)
    with pytest.raises(ContextError) as caught:
        blob(
            "https://acct.blob.core.windows.net/c/o",
            {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/", "IDENTITY_HEADER": "h"},
            web,
            lambda: NOW,
        )
    assert "AZURE_STORAGE_ACCESS_KEY" in (caught.value.hint or "")


def test_names_of_buckets() -> None:
    assert bucket_and_object("ctx") == ("ctx", "context.tar.gz")
    assert bucket_and_object("ctx/a%20b") == ("ctx", "a b")
    for wrong in ("", "-x", "a b/c", "x" * 300):
        with pytest.raises(UsageError):
            bucket_and_object(wrong)
