"""The password for a Git host goes to that host alone: real git, a server that redirects, and one that listens.

The control is git with the password as a header of its configuration, which is how it was done before: the listener gets it.
"""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gitserver import git, git_server, repository
from tests.redirecting import web

from gazami.cancel import Cancel
from gazami.context import git_askpass
from gazami.context.git import checkout
from gazami.context.git_url import parse_git
from gazami.errors import ContextError

USER, PASSWORD = "ci", "CANARY-pass word"
SECRET = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
VARIABLES = {"GIT_USERNAME": USER, "GIT_PASSWORD": PASSWORD}


def fetch(url: str, place: Path, **variables: str) -> None:
    checkout(parse_git(f"{url}/team/app.git"), place / "clone", {**VARIABLES, **variables}, Cancel())


@pytest.mark.parametrize("first_asks", [False, True], ids=["redirects at once", "asks first"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"], ids=["another port", "another host"])
def test_a_redirect_does_not_carry_the_password(first_asks: bool, host: str, tmp_path: Path) -> None:
    with (
        web(tmp_path, asks=True) as listener,
        web(tmp_path, to=listener.url.replace("localhost", host), asks=first_asks) as first,
        pytest.raises(ContextError),
    ):
        fetch(first.url, tmp_path)
    assert listener.paths, "git went there"
    assert listener.authorizations == []
    assert bool(first.authorizations) == first_asks, "the host that the password is for gets it"
    assert set(first.authorizations) <= {f"Basic {SECRET}"}


def test_nor_does_one_to_plain_http(tmp_path: Path) -> None:
    with (
        web(tmp_path, asks=True) as listener,
        web(tmp_path, to=listener.url, asks=True, tls=True) as first,
        pytest.raises(ContextError),
    ):
        fetch(first.url, tmp_path, GIT_SSL_CAINFO=first.authority)
    assert listener.authorizations == []
    assert first.authorizations


def git_itself(url: str, place: Path) -> None:
    """The control: the password as a header."""
    subprocess.run(
        ["git", "clone", "-q", f"{url}/team/app.git", str(place / "control")], capture_output=True, check=False, timeout=60,
        env={
            "PATH": os.environ["PATH"], "HOME": str(place), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{url}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {SECRET}",
        },
    )  # fmt: skip


@pytest.mark.parametrize("first_asks", [False, True])
@pytest.mark.parametrize("fetch_it", [fetch, git_itself], ids=["gazami", "control"])
def test_a_repository_behind_a_redirect(fetch_it: Callable[[str, Path], None], first_asks: bool, tmp_path: Path) -> None:
    """git follows the redirect for its first request and sends the others straight to the new host, headers and all."""
    with (
        git_server(tmp_path / "server", tls=False) as listener,
        web(tmp_path, to=f"http://{listener.host}", asks=first_asks) as first,
    ):
        (listener.root / "team").mkdir()
        repository(listener.root / "team/app.git", {"f": "x", "which": "1"})
        # git itself does not follow a redirect that came after a password any further than to the list of refs
        with pytest.raises(ContextError) if first_asks and fetch_it is fetch else contextlib.nullcontext():
            fetch_it(first.url, tmp_path)
    assert any("git-upload-pack" in path for path in listener.seen)
    leaked = f"Basic {SECRET}" in listener.authorizations
    assert leaked == (fetch_it is git_itself)


@pytest.mark.parametrize("noexec", [False, True], ids=["a file", "in memory"])
def test_the_password_is_given_to_the_host_that_it_is_for(noexec: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if noexec:
        real = os.statvfs

        class NoExec:
            f_flag = os.ST_NOEXEC

        monkeypatch.setattr(git_askpass.os, "statvfs", lambda path: NoExec() if "home" in str(path) else real(path))
    with git_server(tmp_path / "server", ((USER, PASSWORD),), tls=False) as server:
        (server.root / "private").mkdir()
        repository(server.root / "private/app.git", {"f": "x", "which": "1"})
        found = checkout(parse_git(f"http://{server.host}/private/app.git"), tmp_path / "clone", dict(VARIABLES), Cancel())
        assert (found / "f").read_text() == "x"


def test_an_interpreter_with_a_space_in_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "a folder" / "python"
    python.parent.mkdir()
    python.symlink_to(git_askpass.sys.executable)
    monkeypatch.setattr(git_askpass.sys, "executable", str(python))
    test_the_password_is_given_to_the_host_that_it_is_for(False, tmp_path, monkeypatch)


@pytest.mark.parametrize("where", ["another", "the same, which redirects"])
def test_submodules(where: str, tmp_path: Path) -> None:
    """One on another host that asks, and one on the host of the password that leads elsewhere."""
    with git_server(tmp_path / "server", ((USER, PASSWORD),), tls=False) as server, web(tmp_path, asks=True) as listener:
        inner = server.root / "private/inner.git"
        inner.parent.mkdir()
        repository(inner, {"f": "x", "which": "1"})
        work = tmp_path / "work"
        work.mkdir()
        git(work, "init", "-q", "-b", "main")
        git(work, "submodule", "add", "-q", str(inner), "module")
        own = f"http://{server.host}/private/inner.git"
        git(work, "config", "-f", ".gitmodules", "submodule.module.url", own)
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", "outer")
        outer = server.root / "private/outer.git"
        git(server.root, "clone", "-q", "--bare", str(work), str(outer))
        source = parse_git(f"http://{server.host}/private/outer.git")
        found = checkout(source, tmp_path / "good", dict(VARIABLES), Cancel())
        assert (found / "module/f").exists(), "one on the same host is read with the same password"
        url = f"{listener.url}/evil.git"
        with web(tmp_path, to=listener.url, asks=False) as leading:
            git(work, "config", "-f", ".gitmodules", "submodule.module.url", url if where == "another" else leading.url)
            git(work, "commit", "-q", "-am", "evil")
            git(work, "push", "-q", str(outer), "main")
            with pytest.raises(ContextError):
                checkout(source, tmp_path / "bad", dict(VARIABLES), Cancel())
            assert leading.authorizations == []
    assert listener.paths
    assert listener.authorizations == []


@pytest.mark.parametrize(
    "asked",
    [
        "Username for 'https://evil.example': ",
        "Password for 'https://git.example@evil.example': ",
        "Password for 'http://git.example': ",
        "Password for 'https://git.example:8443': ",
        "Password for 'https://git.example.evil.example': ",
        "Password for 'https://a@evil.example/@git.example': ",
        "Username for 'https://git.example': \nUsername for 'https://evil.example': ",
        "",
    ],
)
def test_the_program_answers_for_one_host_only(asked: str, tmp_path: Path) -> None:
    def answer(text: str) -> str:
        with git_askpass.offered(git_askpass.answers("https://git.example/team/app", (USER, PASSWORD)), tmp_path) as (
            variables, _,
        ):  # fmt: skip
            environment = git_askpass.answers("https://git.example/team/app", (USER, PASSWORD))
            done = subprocess.run([variables["GIT_ASKPASS"], text], env=environment, capture_output=True, text=True, check=False)
        return done.stdout

    assert answer(asked) == ""
    assert answer("Username for 'https://git.example': ") == f"{USER}\n"
    assert answer("Password for 'https://ci@git.example': ") == f"{PASSWORD}\n"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("protocol=https\nhost=git.example\n\n", True), ("protocol=https\nhost=git.example\nusername=x\n\n", True),
        ("protocol=http\nhost=git.example\n\n", False), ("protocol=https\nhost=git.example:8443\n\n", False),
        ("protocol=https\nhost=evil.example\n\n", False), ("host=git.example\n\n", False), ("", False),
    ],
)  # fmt: skip
def test_the_helper_answers_for_one_host_only(asked: str, answered: bool, tmp_path: Path) -> None:
    environment = git_askpass.answers("https://git.example/team/app", (USER, PASSWORD))
    with git_askpass.offered(environment, tmp_path) as (variables, _):
        program = variables["GIT_CONFIG_VALUE_0"].removeprefix("!")
        for action in ("get", "store", "erase"):
            done = subprocess.run(
                ["sh", "-c", f"{program} {action}"], env=environment, input=asked, capture_output=True, text=True, check=True
            )
            expected = f"username={USER}\npassword={PASSWORD}\n" if answered and action == "get" else ""
            assert done.stdout == expected


def test_a_host_that_leads_from_http_to_its_own_https_is_the_same() -> None:
    assert git_askpass.answers("http://git.example/a", ("u", ""))["GAZAMI_GIT_FOR"] == "http://git.example https://git.example"
    assert git_askpass.answers("http://git.example:80/a", ("u", ""))["GAZAMI_GIT_FOR"] == "http://git.example:80"
    assert git_askpass.answers("https://git.example/a", ("u", ""))["GAZAMI_GIT_FOR"] == "https://git.example"
