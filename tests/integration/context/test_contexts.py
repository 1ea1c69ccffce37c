"""Build contexts from everywhere, as users write them, against real servers."""

from __future__ import annotations

import io
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.conformance.flatten import read_layout
from tests.gitserver import GitServer, git, git_server, repository
from tests.loopback import serving
from tests.programs import gazami
from tests.services import end, free_port, wait_for_port

pytestmark = pytest.mark.service
DOCKERFILE = "FROM scratch\nCOPY . /c/\n"


class Result:
    def __init__(self, done: subprocess.CompletedProcess[str], layout: Path) -> None:
        self.status, self.log, self._layout = done.returncode, done.stderr + done.stdout, layout

    @property
    def files(self) -> dict[str, dict[str, object]]:
        assert self.status == 0, self.log
        return {path[2:]: each for path, each in read_layout(self._layout)[1].items() if path.startswith("c/")}


def build(tmp_path: Path, context: str, *arguments: str, data: bytes | None = None, **environ: str) -> Result:
    layout = tmp_path / f"layout-{time.monotonic_ns()}"
    words = [
        sys.executable, "-m", "gazami", "build", f"--context={context}", "--no-push", f"--oci-layout-path={layout}",
        f"--state-dir={tmp_path / 'state'}", *arguments,
    ]  # fmt: skip
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", **environ}
    done = subprocess.run(words, input=data, capture_output=True, check=False, env=clean, cwd=tmp_path, timeout=120)
    assert not list((tmp_path / "state").glob("build-*"))
    text = subprocess.CompletedProcess(words, done.returncode, done.stdout.decode(), done.stderr.decode())
    return Result(text, layout)


def tar(*members: tuple[str, bytes] | tarfile.TarInfo, mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size, info.uid, info.gid = len(member[1]), 1234, 1234
                archive.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


FILES = (("Dockerfile", DOCKERFILE.encode()), ("sub/f", b"hello"), (".dockerignore", b"secret\n"), ("secret", b"x"))

# -- archives ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["", "gz", "bz2", "xz", "zst"])
def test_an_archive_in_every_compression(form: str, tmp_path: Path) -> None:
    data = tar(*FILES, mode=f"w:{form}" if form not in ("", "zst") else "w")
    if form == "zst":
        data = subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout
    (tmp_path / "context.tar").write_bytes(data)
    for result in (
        build(tmp_path, f"tar://{tmp_path}/context.tar"),
        build(tmp_path, "tar://stdin", data=data),
        build(tmp_path, "-", data=data),
    ):
        assert {"Dockerfile", "sub/f"} <= set(result.files)
        assert "secret" not in result.files, ".dockerignore counts"
        assert result.files["sub/f"]["uid"] == 0


def test_a_dockerfile_on_standard_input_has_no_files(tmp_path: Path) -> None:
    """As with docker build - < Dockerfile; ``tar://stdin`` is kaniko's and takes a tar alone."""
    text = "FROM scratch\nWORKDIR /c/made\nCOPY . /c/\n# Ä" + "x" * 600 + "\n"
    assert set(build(tmp_path, "-", data=text.encode()).files) == {"made"}
    assert "corrupt" in build(tmp_path, "tar://stdin", data=text.encode()).log
    assert "unknown instruction: FRM" in build(tmp_path, "-", data=b"FRM x\n").log
    assert "no data found" in build(tmp_path, "-", data=b"").log
    assert "not a tar archive" in build(tmp_path, "-", data=b"\xff" * 2000).log


def test_a_part_of_an_archive_and_a_dockerfile_outside(tmp_path: Path) -> None:
    (tmp_path / "c.tar").write_bytes(tar(*FILES))
    (tmp_path / "Other").write_text("FROM scratch\nCOPY f /c/g\n")
    result = build(tmp_path, f"tar://{tmp_path}/c.tar", "--context-sub-path=sub", "--dockerfile=Other")
    assert set(result.files) == {"g"}
    assert "no directory" in build(tmp_path, f"tar://{tmp_path}/c.tar", "--context-sub-path=../..").log


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


HOSTILE = {
    "dots": (("../../escaped", b"x"),),
    "absolute": (("/tmp/gazami-context-escaped", b"x"),),
    "through a symlink": (link("d", "/tmp"), ("d/gazami-context-escaped", b"x")),
    "through a relative symlink": (link("d", "../../../../../../tmp"), ("d/gazami-context-escaped", b"x")),
    "over a symlink": (link("f", "/tmp/gazami-context-escaped"), ("f", b"x")),
    "hard link": (link("h", "/etc/passwd", tarfile.LNKTYPE),),
    "device": (link("null", "", tarfile.CHRTYPE), link("pipe", "", tarfile.FIFOTYPE)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_stays_where_it_is(what: str, tmp_path: Path) -> None:
    escaped = Path("/tmp/gazami-context-escaped")
    escaped.unlink(missing_ok=True)
    result = build(tmp_path, "-", data=tar(("Dockerfile", DOCKERFILE.encode()), *HOSTILE[what]))
    assert not escaped.exists()
    assert not (tmp_path / "escaped").exists()
    assert "Traceback" not in result.log and "bug" not in result.log
    if result.status == 0:
        assert "root:" not in str(result.files)


BROKEN = {
    "nothing": (b"", "no data found"),
    "text": (b"hello" * 1000, "unknown instruction"),
    "cut gzip": (tar(*FILES, mode="w:gz")[:-40], "context"),
    "cut tar": (tar(*FILES)[:900], "context"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_archive_is_an_error(what: str, tmp_path: Path) -> None:
    data, said = BROKEN[what]
    result = build(tmp_path, "-", data=data)
    assert result.status == 1
    assert said in result.log
    assert "Traceback" not in result.log and "bug" not in result.log


def test_what_cannot_be_a_context(tmp_path: Path) -> None:
    assert "does not exist" in build(tmp_path, "tar:///nowhere.tar").log
    unknown = build(tmp_path, "ftp://example.com/x")
    assert unknown.status == 1 and "unknown context scheme ftp://" in unknown.log and "s3://" in unknown.log
    assert "not the name of a bucket" in build(tmp_path, "s3://").log


def test_a_terminal_is_no_archive(tmp_path: Path) -> None:
    command = f"{sys.executable} -m gazami build - --no-push --state-dir={tmp_path}/s"
    done = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True, check=False, timeout=60)
    assert "--interactive" in done.stdout


# -- https ------------------------------------------------------------------------------------------------------------


class Web:
    """A server of one archive: /plain, /moved redirects to it, /cut ends the connection every so often, /auth wants a user."""

    def __init__(self, data: bytes) -> None:
        self.cuts = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/moved":
                    self.send_response(302)
                    self.send_header("Location", "/plain")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if self.path == "/auth" and self.headers.get("Authorization") != "Basic bWU6c2VjcmV0":
                    self.send_response(401)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if self.path == "/missing":
                    self.send_error(404)
                    return
                start = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(data) - start))
                self.send_header("ETag", '"1"')
                self.end_headers()
                if self.path == "/cut" and start + 100_000 < len(data):
                    outer.cuts += 1
                    self.wfile.write(data[start : start + 100_000])
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.wfile.write(data[start:])

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web(tar(*FILES, ("big", os.urandom(350_000)), mode="w:gz"))
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_an_archive_from_the_web(web: Web, tmp_path: Path) -> None:
    for path in ("/plain", "/moved", "/cut"):
        assert {"sub/f", "big"} <= set(build(tmp_path, web.url + path).files)
    assert web.cuts == 3
    assert "sub/f" in build(tmp_path, web.url.replace("//", "//me:secret@") + "/auth").files
    refused = build(tmp_path, web.url.replace("//", "//me:wrong@") + "/auth")
    assert refused.status == 1 and "401" in refused.log and "wrong" not in refused.log
    assert "not found (404)" in build(tmp_path, web.url + "/missing").log


def test_a_dockerfile_from_the_web(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "served").mkdir()
    (tmp_path / "served/D").write_text("FROM scratch\nCOPY f /c/from-url\n")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(tmp_path / "served")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_port(port, server)
        assert set(build(tmp_path, str(tmp_path), f"--dockerfile=http://127.0.0.1:{port}/D").files) == {"from-url"}
        assert "404" in build(tmp_path, str(tmp_path), f"--dockerfile=http://127.0.0.1:{port}/E").log
    finally:
        end(server)


def test_the_contexts_own_dockerfile_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /c/own\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /c/of-the-working-directory\n")
    assert set(build(tmp_path, str(tmp_path / "context")).files) == {"own"}
    named = build(tmp_path, str(tmp_path / "context"), "--dockerfile=Dockerfile")
    assert set(named.files) == {"of-the-working-directory"}, "kaniko looks there first for one that is named"


# -- git --------------------------------------------------------------------------------------------------------------

TOKEN = "s3cr3t-t0ken-42"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GitServer, str]]:
    with git_server(tmp_path_factory.mktemp("git"), ((TOKEN, ""), ("user", "pass word"))) as running:
        (running.root / "private").mkdir()
        files = {"Dockerfile": DOCKERFILE, "which": "first", "sub/Dockerfile": DOCKERFILE, "sub/in": "x"}
        first = repository(running.root / "private/app.git", files)
        inner = running.root / "inner.git"
        repository(inner, {"inner": "x", "which": "inner"})
        outer = running.root / "outer-work-2"
        outer.mkdir()
        git(outer, "init", "-q", "-b", "main")
        git(outer, "submodule", "add", "-q", str(inner), "module")
        git(outer, "config", "-f", ".gitmodules", "submodule.module.url", "../inner.git")
        (outer / "Dockerfile").write_text(DOCKERFILE)
        git(outer, "add", "-A")
        git(outer, "commit", "-q", "-m", "outer")
        git(running.root, "clone", "-q", "--bare", str(outer), str(running.root / "outer.git"))
        yield running, first


def checked_out(tmp_path: Path, server: GitServer, context: str, *arguments: str, **environ: str) -> Result:
    return build(tmp_path, context, *arguments, **{"GIT_TOKEN": TOKEN, "SSL_CERT_FILE": server.authority, **environ})


REFS = [
    ("", "second"), ("#refs/heads/main", "second"), ("#main", "second"), ("#refs/heads/other", "other"), ("#refs/tags/v1", "first"),
    ("#refs/pull/7/head", "pull"), ("#FIRST", "first"), ("#refs/heads/other#FIRST", "first"),
]  # fmt: skip


@pytest.mark.parametrize(("ref", "which"), REFS, ids=[ref for ref, _ in REFS])
def test_kanikos_git(ref: str, which: str, server: tuple[GitServer, str], tmp_path: Path) -> None:
    running, first = server
    context = f"git://{running.host}/private/app.git{ref.replace('FIRST', first)}"
    result = checked_out(tmp_path, running, context)
    text = subprocess.run(
        ["tar", "-xzOf", *[str(b) for b in layer_blobs(result)], "c/which"], capture_output=True, text=True, check=True
    ).stdout
    assert text == which
    assert any(name.startswith(".git/") for name in result.files), "kaniko keeps it"


def layer_blobs(result: Result) -> list[Path]:
    result.files  # noqa: B018
    return [blob for blob in (result._layout / "blobs/sha256").iterdir() if blob.read_bytes()[:2] == b"\x1f\x8b"]


@pytest.mark.parametrize("fragment", ["#v1", "#other:sub", "", "?branch=other&subdir=sub"])
def test_dockers_git(fragment: str, server: tuple[GitServer, str], tmp_path: Path) -> None:
    running, _ = server
    files = checked_out(tmp_path, running, f"https://{running.host}/private/app.git{fragment}").files
    assert ("in" in files) == ("sub" in fragment)
    assert not any(name.startswith(".git") for name in files)


@pytest.mark.parametrize("fragment", ["#feature%2Fone", "#feature/one", "#feature%2Fone:s%75b", "?branch=feature%2Fone"])
def test_a_fragment_of_a_url_may_have_percent_signs(fragment: str, tmp_path: Path) -> None:
    with git_server(tmp_path / "git") as running:
        repository(running.root / "app.git", {"Dockerfile": DOCKERFILE, "sub/Dockerfile": DOCKERFILE, "sub/in": "x", "which": ""})
        git(running.root / "app.git", "branch", "feature/one", "main")
        url = f"https://{running.host}/app.git{fragment}"
        files = build(tmp_path, url, SSL_CERT_FILE=running.authority).files
    assert ("in" in files) == ("s%75b" in fragment)


def test_a_server_without_shallow_clones(tmp_path: Path) -> None:
    """Plain files behind http: git's dumb protocol, which refuses ``--depth``."""
    root = tmp_path / "web"
    first = repository(root / "app.git", {"Dockerfile": DOCKERFILE, "which": "first"})
    git(root / "app.git", "update-server-info")
    with serving(partial(SimpleHTTPRequestHandler, directory=str(root))) as server:  # type: ignore[arg-type]
        url = f"http://127.0.0.1:{server.server_port}/app.git"
        control = ["git", "clone", "-q", "--depth=1", url, str(tmp_path / "control")]
        assert b"shallow" in subprocess.run(control, capture_output=True, check=False).stderr
        for fragment in ("", "#main", f"#{first}"):
            assert "which" in build(tmp_path, url + fragment).files, fragment
        assert "check the name of the branch" in build(tmp_path, f"{url}#nowhere").log


def test_a_context_may_keep_its_git_directory(server: tuple[GitServer, str], tmp_path: Path) -> None:
    running, _ = server
    url = f"https://{running.host}/private/app.git"
    kept = checked_out(tmp_path, running, url, "--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR=1").files
    assert ".git/HEAD" in kept
    for arguments in ((), ("--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR=0",)):
        assert ".git/HEAD" not in checked_out(tmp_path, running, url, *arguments).files


def test_options_of_git(server: tuple[GitServer, str], tmp_path: Path) -> None:
    running, _ = server
    url = f"git://{running.host}/private/app.git"
    assert checked_out(tmp_path, running, url, "--git", "branch=other", "--git", "single-branch=true", "--git=depth=1").status == 0
    assert "invalid branch: nowhere" in checked_out(tmp_path, running, url, "--git=branch=nowhere").log
    assert "unknown key 'brunch'" in checked_out(tmp_path, running, url, "--git=brunch=x").log
    modules = f"git://{running.host}/outer.git"
    assert "module/inner" not in checked_out(tmp_path, running, modules).files
    assert "module/inner" in checked_out(tmp_path, running, modules, "--git=recurse-submodules=true").files
    assert "module/inner" in checked_out(tmp_path, running, f"https://{running.host}/outer.git").files
    untrusted = checked_out(tmp_path, running, url, SSL_CERT_FILE="")
    assert untrusted.status == 1 and "SSL_CERT_FILE" in untrusted.log
    assert checked_out(tmp_path, running, url, "--git=insecure-skip-tls=true", SSL_CERT_FILE="").status == 0


def test_credentials_of_git(server: tuple[GitServer, str], tmp_path: Path) -> None:
    running, _ = server
    url = f"git://{running.host}/private/app.git"
    assert checked_out(tmp_path, running, url, GIT_TOKEN="", GIT_USERNAME="user", GIT_PASSWORD="pass word").status == 0
    assert checked_out(tmp_path, running, f"git://{TOKEN}@{running.host}/private/app.git", GIT_TOKEN="").status == 0
    for environ in ({"GIT_TOKEN": ""}, {"GIT_TOKEN": "wrong-token"}):
        refused = checked_out(tmp_path, running, url, **environ)
        assert refused.status == 1
        assert "GIT_TOKEN" in refused.log and "/bin/false" not in refused.log
        assert ("the server refused the credentials" in refused.log) == bool(environ["GIT_TOKEN"])
        assert "wrong-token" not in refused.log
    assert "GIT_TOKEN" in checked_out(tmp_path, running, url.replace("app", "nothing")).log
    assert "check the name of the branch" in checked_out(tmp_path, running, f"{url}#refs/heads/nothing").log


def test_the_token_is_nowhere(server: tuple[GitServer, str], tmp_path: Path) -> None:
    """Neither in the processes' arguments while it is cloned, nor in the log, nor in any file of the image."""
    running, _ = server
    seen: list[str] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes()
                except OSError:
                    continue
                if TOKEN.encode() in line and b"pytest" not in line:
                    seen.append(line.decode(errors="replace"))

    watcher = threading.Thread(target=look)
    watcher.start()
    result = checked_out(tmp_path, running, f"git://{running.host}/private/app.git", "-v=trace")
    done.set()
    watcher.join()
    assert result.status == 0
    assert seen == []
    assert TOKEN not in result.log
    for blob in layer_blobs(result):
        data = subprocess.run(["gzip", "-dc", str(blob)], capture_output=True, check=True).stdout
        assert TOKEN.encode() not in data


def test_git_over_ssh(server: tuple[GitServer, str], tmp_path: Path) -> None:
    running, _ = server
    port = free_port()
    folder = tmp_path / "sshd"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "keys").write_text((folder / "user.pub").read_text())
    (folder / "keys").chmod(0o600)
    (folder / "conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/keys\n"
        "StrictModes no\nUsePAM no\n"
        f"PidFile none\nPermitRootLogin yes\nSetEnv GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    sshd = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "conf")], stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, sshd)
        ssh = f"ssh -i {folder}/user -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={folder}/known"
        url = f"ssh://root@127.0.0.1:{port}{running.root}/private/app.git#v1"
        assert "sub/in" in build(tmp_path, url, GIT_SSH_COMMAND=ssh).files
        refused = build(tmp_path, url, GIT_SSH_COMMAND=f"{ssh} -o IdentitiesOnly=yes -i /nowhere".replace(f"-i {folder}/user ", ""))
        assert refused.status == 1 and "SSH_AUTH_SOCK" in refused.log
    finally:
        end(sshd)


def test_lint_does_not_fetch(tmp_path: Path) -> None:
    done = gazami("build", "--check", "--context=git://localhost:1/x", "--no-push", cwd=tmp_path)
    assert done.returncode == 1 and "cannot read a git:// context without a build" in done.stderr


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore"])
def test_an_archive_does_not_read_this_machines_files(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("FROM scratch\nhunter2\n")
    members = [link(name, str(tmp_path / "secret")), *(each for each in FILES if each[0] != name)]
    result = build(tmp_path, "-", data=tar(*members))
    assert result.status == 1
    assert "leads out of it" in result.log
    assert "hunter2" not in result.log


def test_modes_are_the_archives(tmp_path: Path) -> None:
    modes = {"sudoers": 0o440, "read": 0o444, "run": 0o4755, "none": 0o000}
    members = []
    for name, mode in modes.items():
        info = tarfile.TarInfo(name)
        info.mode = mode
        members.append(info)
    folder = tarfile.TarInfo("d")
    folder.type, folder.mode = tarfile.DIRTYPE, 0o555
    files = build(tmp_path, "-", data=tar(("Dockerfile", DOCKERFILE.encode()), folder, ("d/x", b""), *members)).files
    assert {name: files[name]["mode"] for name in (*modes, "d")} == {
        name: oct(mode) for name, mode in {**modes, "d": 0o555}.items()
    }


def test_an_interrupt_while_nothing_comes(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gazami", "build", "-", "--no-push", f"--state-dir={tmp_path}/s"], stdin=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert not list((tmp_path / "s").glob("build-*"))


def test_standard_input_is_one_thing(tmp_path: Path) -> None:
    assert "at the same time" in build(tmp_path, "-", "--dockerfile=-", data=b"").log
    assert "--dockerfile=-" in build(tmp_path, "tar://stdin", data=b"FROM scratch\nLABEL a=b\n" * 100).log


def test_an_archive_that_changes_on_the_way_is_not_joined(tmp_path: Path) -> None:
    count = 0
    data = [tar(("Dockerfile", DOCKERFILE.encode()), ("big", bytes([number]) * 400_000)) for number in (1, 2)]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            nonlocal count
            count += 1
            body = data[0] if count == 1 else data[1]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{count > 1}"')
            self.end_headers()
            if count == 1:
                self.wfile.write(body[:100_000])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as server:
        result = build(tmp_path, f"http://127.0.0.1:{server.server_port}/x.tar")
    assert result.status == 1 and "changed during the download" in result.log
