from __future__ import annotations

import pytest

from gazami.errors import UsageError
from gazami.registry.proxy import bypasses, choose_proxy


@pytest.mark.parametrize(
    ("host", "port", "no_proxy", "direct"),
    [
        ("reg.test", 443, "", False),
        ("reg.test", 443, "*", True),
        ("reg.test", 443, "reg.test", True),
        ("a.reg.test", 443, "reg.test", True),
        ("areg.test", 443, "reg.test", False),
        ("reg.test", 443, ".reg.test", False),
        ("a.reg.test", 443, ".reg.test", True),
        ("a.reg.test", 443, "*.reg.test", True),
        ("reg.test", 443, "*.reg.test", False),
        ("reg.test", 443, "x.test , REG.test", True),
        ("reg.test", 443, "reg.test:443", True),
        ("reg.test", 5000, "reg.test:443", False),
        ("10.0.0.7", 443, "10.0.0.0/8", True),
        ("11.0.0.7", 443, "10.0.0.0/8", False),
        ("10.0.0.7", 443, "10.0.0.7", True),
        ("10.0.0.7", 5000, "10.0.0.7:5000", True),
        ("10.0.0.7", 443, "10.0.0.7:5000", False),
        ("10.0.0.7", 443, "0.0.7", False),
        ("2001:db8::1", 443, "2001:db8::/32", True),
        ("2001:db8::1", 443, "[2001:db8::1]:443", True),
        ("2001:db8::1", 443, "2001:db8::1", True),
        ("reg.test", 443, "not/a/range", False),
        ("localhost", 443, "", True),
        ("127.3.2.1", 443, "", True),
        ("::1", 443, "", True),
    ],
)
def test_bypassing(host: str, port: int, no_proxy: str, direct: bool) -> None:
    assert bypasses(host, port, no_proxy) is direct


def test_choosing() -> None:
    proxies = (("HTTP_PROXY", "plain:3128"), ("HTTPS_PROXY", "https://u:p@tls:3129"), ("NO_PROXY", "near.test"))
    assert choose_proxy("http://reg.test/v2/", proxies) == "http://plain:3128"
    assert choose_proxy("https://reg.test/v2/", proxies) == "https://u:p@tls:3129"
    assert choose_proxy("https://near.test/v2/", proxies) is None
    assert choose_proxy("https://reg.test/v2/", ()) is None


def test_other_kinds_are_refused() -> None:
    with pytest.raises(UsageError, match="socks5") as caught:
        choose_proxy("https://reg.test/", (("HTTPS_PROXY", "socks5://u:secret@h:1"),))
    assert "secret" not in str(caught.value)
