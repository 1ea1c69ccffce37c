"""ADD of URLs and repositories, and further build contexts, against real servers on loopback."""

from __future__ import annotations

import hashlib
import http.server
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.conformance.flatten import File, read_layout
from tests.programs import gazami
from tests.services import free_port

pytestmark = [pytest.mark.service]


class Server:
    """A web server of a folder; ``cut`` is how many times an answer breaks off after 50 000 bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cut, self.seen = folder, 0, []
        outer = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append((self.path, dict(self.headers)))
                if self.path.startswith("/moved/"):
                    self.send_response(302)
                    self.send_header("Location", self.path.removeprefix("/moved"))
                    self.end_headers()
                elif outer.cut > 0:
                    outer.cut -= 1
                    data = (folder / self.path.lstrip("/")).read_bytes()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data[:50_000])
                    self.wfile.flush()
                    self.connection.close()
                else:
                    super().do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "web"
    folder.mkdir()
    server = Server(folder)
    yield server
    server.server.shutdown()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    """A repository with a tag ``v1`` and one commit more, served by git daemon."""
    folder = tmp_path / "git" / "repo"
    folder.mkdir(parents=True)

    def git(*arguments: str) -> None:
        names = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)

    git("init", "-q", "-b", "main", ".")
    (folder / "sub").mkdir()
    (folder / "sub/b").write_text("b")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    git("add", "-A")
    git("commit", "-qm", "one")
    git("tag", "v1")
    (folder / "later").write_text("x")
    git("add", "-A")
    git("commit", "-qm", "two")
    port = free_port()
    command = [
        "git",
        "daemon",
        "--reuseaddr",
        "--listen=127.0.0.1",
        f"--port={port}",
        f"--base-path={tmp_path / 'git'}",
        "--export-all",
    ]
    daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"git://127.0.0.1:{port}/repo"
    deadline = time.monotonic() + 10
    while subprocess.run(["git", "ls-remote", url], capture_output=True, check=False).returncode and time.monotonic() < deadline:
        time.sleep(0.05)
    yield url
    daemon.terminate()
    daemon.wait()


def built(context: Path, dockerfile: str, *arguments: str) -> dict[str, File]:
    done = run(context, dockerfile, *arguments)
    assert done.returncode == 0, done.stderr
    return read_layout(context.parent / "out")[1]


def run(context: Path, dockerfile: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (context / "Dockerfile").write_text(dockerfile)
    return gazami(
        "build", str(context), "--no-push", f"--oci-layout-path={context.parent / 'out'}",
        f"--state-dir={context.parent / 'state'}", *arguments,
    )  # fmt: skip


def test_add_a_url(web: Server, context: Path) -> None:
    (web.folder / "f.txt").write_text("data")
    files = built(context, f"FROM scratch\nADD {web.url}/f.txt /d/\nADD --chmod=755 --chown=3:4 {web.url}/moved/f.txt /named\n")
    assert (files["d/f.txt"]["mode"], files["d/f.txt"]["size"]) == ("0o600", 4)
    assert (files["named"]["mode"], files["named"]["uid"], files["named"]["gid"]) == ("0o755", 3, 4)


def test_add_a_url_with_a_checksum(web: Server, context: Path) -> None:
    (web.folder / "f").write_bytes(b"data")
    right = hashlib.sha256(b"data").hexdigest()
    assert "f" in built(context, f"FROM scratch\nADD --checksum=sha256:{right} {web.url}/f /\n")
    done = run(context, f"FROM scratch\nADD --checksum=sha256:{'0' * 64} {web.url}/f /\n")
    assert done.returncode == 1
    assert right in done.stderr and ">>>" in done.stderr


def test_a_cut_download_is_tried_again(web: Server, context: Path) -> None:
    (web.folder / "f").write_bytes(bytes(range(256)) * 2000)
    web.cut = 2
    files = built(context, f"FROM scratch\nADD {web.url}/f /\n")
    assert files["f"]["sha256"] == hashlib.sha256(bytes(range(256)) * 2000).hexdigest()


def test_an_archive_is_unpacked_only_when_asked(web: Server, context: Path) -> None:
    (web.folder / "t").mkdir()
    (web.folder / "t/x").write_text("x")
    subprocess.run(["tar", "-C", str(web.folder), "-czf", str(web.folder / "a.tgz"), "t"], check=True)
    assert set(built(context, f"FROM scratch\nADD {web.url}/a.tgz /d/\n")) == {"d", "d/a.tgz"}
    assert set(built(context, f"FROM scratch\nADD --unpack {web.url}/a.tgz /d/\n")) == {"d", "d/t", "d/t/x"}


def test_a_missing_url_shows_the_line(web: Server, context: Path) -> None:
    done = run(context, f"FROM scratch\nADD {web.url}/nothing /\n")
    assert done.returncode == 1
    assert "404" in done.stderr and "   2 | >>> ADD" in done.stderr


def test_credentials_of_a_url_stay_with_its_host_and_out_of_the_log(web: Server, context: Path) -> None:
    (web.folder / "f").write_text("x")
    url = web.url.replace("://", "://user:hidden@")
    done = run(context, "ARG U\nFROM scratch\nARG U\nADD $U /\n", f"--build-arg=U={url}/f")
    assert done.returncode == 0, done.stderr
    assert web.seen[-1][1]["Authorization"].startswith("Basic ")


def test_add_a_repository(repository: str, context: Path) -> None:
    files = built(context, f"FROM scratch\nADD {repository} /r\n")
    assert {path: file.get("mode") for path, file in files.items()} == {
        "r": "0o755", "r/later": "0o644", "r/run": "0o755", "r/sub": "0o755", "r/sub/b": "0o644",
    }  # fmt: skip


def test_a_tag_a_directory_and_the_git_directory(repository: str, context: Path) -> None:
    assert "r/later" not in built(context, f"FROM scratch\nADD {repository}#v1 /r\n")
    assert set(built(context, f"FROM scratch\nADD {repository}#main:sub /r\n")) == {"r", "r/b"}
    assert "r/.git" in built(context, f"FROM scratch\nADD --keep-git-dir=true {repository} /r\n")


@pytest.mark.parametrize("ref", ["#nosuch", "#main:nosuch", "?bad=key", "#-x"])
def test_what_is_not_there_says_so(ref: str, repository: str, context: Path) -> None:
    done = run(context, f"FROM scratch\nADD {repository}{ref} /r\n")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "bug in gazami" not in done.stderr and ">>>" in done.stderr


def test_named_contexts(repository: str, web: Server, context: Path, tmp_path: Path) -> None:
    (tmp_path / "other/d").mkdir(parents=True)
    (tmp_path / "other/d/f").write_text("x")
    (tmp_path / "other/.dockerignore").write_text("*\n!d\n")
    (web.folder / "w").write_text("w")
    files = built(
        context,
        "FROM base\nCOPY --from=other / /o/\nCOPY --from=repo sub /r/\nCOPY --from=web context /w\n",
        f"--build-context=other={tmp_path / 'other'}", f"--build-context=repo={repository}",
        f"--build-context=web={web.url}/w", f"--build-context=base={tmp_path / 'other'}",
    )  # fmt: skip
    assert set(files) == {"d", "d/f", "o", "o/d", "o/d/f", "r", "r/b", "w"}


def test_a_context_with_a_stage_s_name_replaces_the_stage(context: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/f").write_text("x")
    dockerfile = "FROM nowhere.invalid/image AS deps\nRUN false\nFROM scratch\nCOPY --from=deps /f /g\n"
    assert set(built(context, dockerfile, f"--build-context=deps={tmp_path / 'other'}")) == {"g"}
