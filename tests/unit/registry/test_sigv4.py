"""Signatures as AWS's own test suite has them, and as botocore makes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gazami.registry.providers.sigv4 import AwsKeys, sign

NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
KEYS = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
)
def test_the_vanilla_vectors(method: str, signature: str) -> None:
    signed = dict(sign(method, "https://example.amazonaws.com/", (), b"", KEYS, region="us-east-1", service="service", now=NOW))
    assert signed["X-Amz-Date"] == "20150830T123600Z"
    assert signed["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}"
    )


@pytest.mark.parametrize("session", ["", "a+session/token=="])
@pytest.mark.parametrize("url", ["https://api.ecr.eu-central-1.amazonaws.com/", "http://127.0.0.1:5000/some/path"])
def test_the_same_as_botocore(url: str, session: str) -> None:
    auth = pytest.importorskip("botocore.auth", reason="botocore is of the extra aws")
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    headers = (("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", "A.B"))
    body = b'{"registryIds": ["123456789012"]}'
    keys = AwsKeys("AKIDEXAMPLE", "secret", session)
    ours = dict(sign("POST", url, headers, body, keys, region="eu-central-1", service="ecr", now=NOW))

    theirs = auth.SigV4Auth(Credentials("AKIDEXAMPLE", "secret", session or None), "ecr", "eu-central-1")
    request = AWSRequest("POST", url, {**dict(headers), "X-Amz-Date": "20150830T123600Z"}, body)
    if session:
        request.headers["X-Amz-Security-Token"] = session
    request.context["timestamp"] = "20150830T123600Z"
    canonical = theirs.canonical_request(request)
    signature = theirs.signature(theirs.string_to_sign(request, canonical), request)
    assert ours["Authorization"].endswith(f"Signature={signature}")


def test_keys_do_not_show() -> None:
    assert "wJalr" not in repr(KEYS) and "token" not in repr(AwsKeys("a", "b", "token"))
