"""Contexts behind proxies: an archive and a repository on a host that only the proxy knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.gitserver import git_server, repository
from tests.integration.context.test_contexts import DOCKERFILE, Web, build, web
from tests.proxies import squid

pytestmark = pytest.mark.service
__all__ = ["web"]
NAME = "files.example"


def test_an_archive_through_squid(web: Web, tmp_path: Path) -> None:
    url = web.url.replace("127.0.0.1", NAME)
    with squid(tmp_path / "squid", (NAME,)) as proxy:
        assert "sub/f" in build(tmp_path, f"{url}/plain", HTTP_PROXY=proxy.url).files
        assert "sub/f" in build(tmp_path, f"{url}/cut", http_proxy=proxy.url).files
        around = build(tmp_path, f"{url}/plain", HTTP_PROXY=proxy.url, NO_PROXY=".example")
        assert around.status == 1 and NAME in around.log


def test_a_repository_through_squid(tmp_path: Path) -> None:
    with git_server(tmp_path / "git", tls=False) as server, squid(tmp_path / "squid", (NAME,)) as proxy:
        repository(server.root / "app.git", {"Dockerfile": DOCKERFILE, "which": "first"})
        context = f"git://{server.host.replace('localhost', NAME)}/app.git#refs/tags/v1"
        environ = {"HTTP_PROXY": proxy.url, "GIT_PULL_METHOD": "http"}
        assert "which" in build(tmp_path, context, **environ).files
        assert build(tmp_path, context, GIT_PULL_METHOD="http").status == 1


def test_a_proxy_that_is_not_there(web: Web, tmp_path: Path) -> None:
    gone = build(tmp_path, web.url.replace("127.0.0.1", NAME) + "/plain", HTTP_PROXY="http://127.0.0.1:1")
    assert gone.status == 1
    assert "proxy" in gone.log and "Traceback" not in gone.log
