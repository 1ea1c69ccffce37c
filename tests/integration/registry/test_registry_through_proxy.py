"""Requests through an HTTP proxy, which stands in for the registry behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.integration.registry.faults import Canned, faulty
from tests.integration.registry.images import HASTY, client, small_image

from gazami.errors import TransportError
from gazami.image.reference import Reference

pytestmark = pytest.mark.service

REFERENCE = Reference("reg.test", "team/app", "one")


def test_plain_http_goes_through_the_proxy_with_its_password() -> None:
    image = small_image()
    with faulty() as proxy:
        proxy.add("GET", "http://reg.test/v2/team/app/manifests/one", Canned(200, body=image.manifest.raw))
        address = f"http://user:p%40ss@{proxy.host}"
        options = replace(
            HASTY,
            insecure_registries=("reg.test",),
            proxies=(("HTTP_PROXY", address), ("HTTPS_PROXY", address), ("NO_PROXY", "other.test")),
        )
        with client(options) as ours:
            assert ours.get_manifest(REFERENCE).digest == image.manifest.digest
        assert proxy.seen[-1].headers["Proxy-Authorization"] == "Basic dXNlcjpwQHNz"
        assert "Authorization" not in proxy.seen[-1].headers


def test_a_proxy_that_refuses_to_connect_is_named() -> None:
    with faulty() as proxy:
        options = replace(HASTY, proxies=(("HTTPS_PROXY", f"http://user:hunter2@{proxy.host}"),))
        with client(options) as ours, pytest.raises(TransportError, match="the proxy cannot be used") as caught:
            ours.get_manifest(REFERENCE)
        assert "hunter2" not in str(caught.value)
