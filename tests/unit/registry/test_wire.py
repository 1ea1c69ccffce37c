from __future__ import annotations

import pytest

from gazami.registry.wire import (
    Challenge,
    Complaint,
    merge_scopes,
    next_link,
    parse_challenges,
    parse_content_range_start,
    parse_error,
    parse_range_end,
    parse_retry_after,
    redact,
    with_query,
)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], ()),
        (["Basic"], (Challenge("basic"),)),
        (['Basic realm="a \\"b\\", c"'], (Challenge("basic", (("realm", 'a "b", c'),)),)),
        (
            ['Bearer realm="https://auth.test/t",service=reg.test , scope="repository:a/b:pull,push"'],
            (
                Challenge(
                    "bearer", (("realm", "https://auth.test/t"), ("service", "reg.test"), ("scope", "repository:a/b:pull,push"))
                ),
            ),
        ),
        (
            ['BASIC Realm=x, Bearer realm="y"', "Negotiate"],
            (Challenge("basic", (("realm", "x"),)), Challenge("bearer", (("realm", "y"),)), Challenge("negotiate")),
        ),
        (['Negotiate, Basic realm="z"'], (Challenge("negotiate"), Challenge("basic", (("realm", "z"),)))),
        (["", ",,", '"'], ()),
    ],
)
def test_challenges(headers: list[str], expected: tuple[Challenge, ...]) -> None:
    assert parse_challenges(headers) == expected


def test_merging_scopes() -> None:
    assert merge_scopes(("repository:b:pull", "repository:a:push,pull"), ("repository:b:push", "repository:b:pull")) == (
        "repository:a:pull,push",
        "repository:b:pull,push",
    )
    assert merge_scopes((), ()) == ()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ()),
        (b"<html><h1>502</h1></html>", ()),
        (b"denied\n", (Complaint("", "denied"),)),
        (b"[1]", ()),
        (b'{"errors": null}', ()),
        (
            b'{"errors": [{"code": "DENIED", "message": "no", "detail": "why"}, 7, {"code": "X", "detail": {}}]}',
            (Complaint("DENIED", "no (why)"), Complaint("X", "")),
        ),
        (b'{"error": "invalid_grant", "error_description": "token expired"}', (Complaint("invalid_grant", "token expired"),)),
        (b'{"details": "incorrect username or password"}', (Complaint("", "incorrect username or password"),)),
    ],
)
def test_error_bodies(body: bytes, expected: tuple[Complaint, ...]) -> None:
    assert parse_error(body) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), ("0-0", 0), ("0-99", 100), ("bytes=0-99", 100), ("5-9", None), ("x", None), ("-1", None)]
)
def test_upload_ranges(value: str | None, expected: int | None) -> None:
    assert parse_range_end(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), ("bytes 5-9/10", 5), ("bytes 5-9/*", 5), ("bytes */10", None), ("bytes 0-0/1", 0)]
)
def test_content_ranges(value: str | None, expected: int | None) -> None:
    assert parse_content_range_start(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("7", 7.0),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 50.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("-3", None),
        ("soon", None),
    ],
)
def test_retry_after(value: str | None, expected: float | None) -> None:
    assert parse_retry_after(value, now=10.0) == expected


def test_links() -> None:
    assert next_link('</v2/a/tags/list?last=x&n=2>; rel="next"') == "/v2/a/tags/list?last=x&n=2"
    assert next_link('</p>; rel="prev", </n>; rel=next') == "/n"
    assert next_link(None) is None


def test_queries_and_redaction() -> None:
    url = with_query("https://u:p@h:1/up?_state=secret&n=1", "digest", "sha256:ab")
    assert url == "https://u:p@h:1/up?_state=secret&n=1&digest=sha256%3Aab"
    assert redact(url) == "https://h:1/up?_state=REDACTED&n=1&digest=sha256:ab"
    assert redact("https://h/x?X-Amz-Signature=abc#frag") == "https://h/x?X-Amz-Signature=REDACTED"
