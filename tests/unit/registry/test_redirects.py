"""The rule for redirects as a table; that every client follows it is in the integration tests."""

from __future__ import annotations

import pytest

from gazami.errors import TransportError
from gazami.registry.redirects import check_redirect, joined, same_origin


@pytest.mark.parametrize(
    ("url", "other", "same"),
    [
        ("https://a.example/x", "https://a.example/y?z", True),
        ("https://a.example:443/x", "https://A.example/y", True),
        ("https://a.example./x", "https://a.example/y", True),
        ("http://a.example:80/x", "http://a.example/y", True),
        ("http://[::1]:5000/x", "http://[::1]:5000/", True),
        ("https://user:pw@a.example/x", "https://a.example/", True),
        ("http://a.example/x", "https://a.example/x", False),
        ("https://a.example:8443/x", "https://a.example/x", False),
        ("https://a.example.evil.example/x", "https://a.example/x", False),
        ("https://a.example@evil.example/x", "https://a.example/x", False),
        ("https://a.example:99999/x", "https://a.example:99999/x", False),
        ("https://[::1/x", "https://[::1/x", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, other: str, same: bool) -> None:
    assert same_origin(url, other) is same
    assert same_origin(other, url) is same


@pytest.mark.parametrize("target", ["http://a.example/", "file:///etc/passwd", "ftp://a.example/", "gopher://a/", "data:,x"])
def test_what_is_not_followed(target: str) -> None:
    with pytest.raises(TransportError):
        check_redirect("https://a.example/x", target)


@pytest.mark.parametrize(("url", "target"), [
    ("https://a.example/", "https://b.example/"), ("http://a.example/", "https://a.example/"),
    ("http://a.example/", "http://b.example/"),
])  # fmt: skip
def test_what_is_followed(url: str, target: str) -> None:
    check_redirect(url, target)


@pytest.mark.parametrize("location", ["https://[::1", "//a:99999999/x", "http://a:port/"])
def test_what_is_no_url_is_an_error_of_the_server(location: str) -> None:
    with pytest.raises(TransportError, match="not a URL"):
        joined("https://a.example/x", location)
