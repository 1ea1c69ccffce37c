"""Where an image can go besides a registry: directories, tars, archives, digest files at URLs, buildx's files."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.loopback import serving
from tests.programs import gazami

pytestmark = [pytest.mark.service, pytest.mark.sandbox]

# the second layer replaces a file that the first one has two names for, deletes one, and makes a directory anew
LAYERS = (
    "FROM {busybox}\nRUN mkdir -p /d/gone && echo one > /d/a && ln /d/a /d/b && ln /d/a /d/c && ln -s a /d/link "
    "&& echo x > /d/gone/x\n"
    "RUN rm -r /d/gone && rm /d/a && echo two > /d/a && chown 33:33 /d/a && mkdir /d/gone && chmod 4755 /d/b\n"
)


def build(context: Path, dockerfile: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    (context / "Dockerfile").write_text(dockerfile)
    return gazami("build", str(context), f"--state-dir={context.parent / 'state'}", *arguments, env=env)


def names(archive: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    return {member.name.rstrip("/"): member for member in archive.getmembers()}


def test_a_directory_gets_the_files(context: Path, busybox: str, tmp_path: Path) -> None:
    done = build(context, LAYERS.format(busybox=busybox), "-o", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert (out / "d/a").read_text() == "two\n"
    assert (out / "d/b").read_text() == (out / "d/c").read_text() == "one\n", "their other name was replaced, they were not"
    assert os.readlink(out / "d/link") == "a"
    assert list((out / "d/gone").iterdir()) == []
    assert (out / "d/a").stat().st_uid == os.geteuid()
    assert (out / "bin/busybox").stat().st_size > 500_000
    assert "pushed" not in done.stderr


def test_a_directory_is_never_left_through_a_symlink(context: Path, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out/d").symlink_to(tmp_path / "elsewhere")
    build(context, f"FROM scratch\nCOPY --from={busybox} /bin/busybox /d/busybox\n", "-o", f"type=local,dest={tmp_path / 'out'}")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_tar_on_standard_output_is_only_that(context: Path, busybox: str) -> None:
    (context / "Dockerfile").write_text(LAYERS.format(busybox=busybox) + "RUN echo noise\n")
    done = subprocess.run(
        [sys.executable, "-m", "gazami", "build", str(context), f"--state-dir={context.parent / 'state'}", "-o", "-"],
        capture_output=True, check=True,
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        found = names(archive)
    assert found["d/a"].uid == 33
    assert found["d/b"].mode == 0o4755
    assert not any(".wh." in name for name in found)
    assert b"noise" in done.stderr


def test_a_tar_whose_reader_goes_away_is_an_error(context: Path, busybox: str) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN head -c 5000000 /dev/zero > /z\n")
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m gazami build {context} --state-dir={context.parent}/state -o - | head -c 10"],
        capture_output=True, check=False,
    )  # fmt: skip
    assert b"stopped reading" in done.stderr
    assert b"Traceback" not in done.stderr


def test_archives_of_the_image(context: Path, busybox: str, tmp_path: Path) -> None:
    oci, docker, layout = tmp_path / "i.oci.tar", tmp_path / "i.docker.tar", tmp_path / "layout"
    done = build(
        context, f"FROM {busybox}\nRUN echo > /x\n", "-o", f"type=oci,dest={oci}", "-o", f"type=docker,dest={docker}",
        "--output", f"type=oci,tar=false,dest={layout}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    digests = {
        subprocess.run(["skopeo", "inspect", "--format", "{{.Digest}}", place], check=True, capture_output=True).stdout
        for place in (f"oci-archive:{oci}", f"oci:{layout}")
    }
    assert len(digests) == 1
    subprocess.run(["skopeo", "inspect", f"docker-archive:{docker}"], check=True, capture_output=True)


def test_buildx_files(context: Path, busybox: str, host: str, tmp_path: Path) -> None:
    done = build(
        context, f"FROM {busybox}\nLABEL a=b\n", "-o", f"type=registry,name={host}/buildx/a:1", f"--iidfile={tmp_path / 'id'}",
        f"--metadata-file={tmp_path / 'meta'}", f"--digest-file={tmp_path / 'digest'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    meta = json.loads((tmp_path / "meta").read_text())
    assert meta["containerimage.digest"] == (tmp_path / "digest").read_text()
    assert meta["containerimage.config.digest"] == (tmp_path / "id").read_text()
    assert meta["image.name"] == f"{host}/buildx/a:1"


def test_builder_output(context: Path, busybox: str, host: str, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\n")
    done = gazami(
        "build", str(context), f"--state-dir={tmp_path / 'state'}", f"-d={host}/bo/a:1", f"-d={host}/bo/b:2",
        env={"BUILDER_OUTPUT": str(tmp_path / "bo")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "bo/images").read_text().splitlines()]
    assert [line["name"] for line in lines] == [f"{host}/bo/a:1", f"{host}/bo/b:2"]
    assert lines[0]["digest"].startswith("sha256:")


@pytest.fixture
def web() -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """A server that keeps what is PUT, and refuses /no."""
    stored: dict[str, tuple[str, str]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            stored[self.path] = (self.headers["Content-Type"], body)
            self.send_response(403 if self.path.startswith("/no") else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as server:
        yield f"http://127.0.0.1:{server.server_port}", stored


def test_digest_files_at_urls(context: Path, busybox: str, host: str, web: tuple[str, dict[str, tuple[str, str]]]) -> None:
    url, stored = web
    done = build(
        context, f"FROM {busybox}\n", f"-t={host}/put/a:1", f"--digest-file={url}/digest?signature=SECRET",
        f"--image-name-with-digest-file={url}/name",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kind, digest = stored["/digest?signature=SECRET"]
    assert kind == "text/plain"
    assert stored["/name"][1] == f"{host}/put/a@{digest}\n"
    assert "SECRET" not in done.stderr
    refused = build(context, f"FROM {busybox}\n", f"-t={host}/put/a:1", f"--digest-file={url}/no")
    assert refused.returncode == 1
    assert "403" in refused.stderr


def test_a_failed_push_writes_no_file_that_claims_success(context: Path, busybox: str, tmp_path: Path) -> None:
    done = build(
        context, f"FROM {busybox}\n", "-t=127.0.0.1:1/nowhere", "--skip-push-permission-check", f"--digest-file={tmp_path / 'd'}",
        f"--metadata-file={tmp_path / 'm'}",
    )  # fmt: skip
    assert done.returncode == 1
    assert not (tmp_path / "d").exists()
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("type=magic", "unknown type 'magic'"),
        ("type=local", "needs dest=PATH"),
        ("type=docker,dest=-", "needs dest=PATH"),
        ("type=tar,dst=x", "takes no dst="),
        ("type=registry", "the image has no name"),
        ("type=cacheonly,dest=x", "takes no dest="),
    ],
)
def test_outputs_that_there_are_not(context: Path, word: str, said: str) -> None:
    done = build(context, "FROM scratch\nLABEL a=b\n", "-o", word)
    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.skipif(shutil.which("podman") is None, reason="needs podman")
@pytest.mark.parametrize("flag", ["--load", "--output=type=docker"])
def test_the_store_of_podman_gets_the_image(flag: str, context: Path, busybox: str) -> None:
    name = f"gazami-test-load-{os.getpid()}:1"
    try:
        done = build(context, f"FROM {busybox}\nRUN echo loaded > /x\n", "-t", name, flag)
        if done.returncode and "podman load failed" in done.stderr:
            pytest.skip(f"podman does not work here: {done.stderr[-300:]}")
        assert done.returncode == 0, done.stderr
        assert f"Loaded {name} into podman" in done.stderr and "ushed" not in done.stderr
        seen = subprocess.run(["podman", "image", "inspect", name], capture_output=True, text=True, check=True)
        assert len(json.loads(seen.stdout)[0]["RootFS"]["Layers"]) == 2
        assert list((context.parent / "state").glob("build-*")) == []
    finally:
        subprocess.run(["podman", "rmi", "-f", name], capture_output=True, check=False)


def test_a_loader_that_fails_says_why(context: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin/podman"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\ncase $1 in version) exit 0 ;; esac\nhead -c 10 > /dev/null\necho no space for images >&2\nexit 7\n"
    )
    program.chmod(0o755)
    (context / "big").write_bytes(os.urandom(1_000_000))
    done = build(context, "FROM scratch\nCOPY big /\n", "--load", "-t", "app", env={"PATH": str(program.parent) + ":/usr/bin:/bin"})
    assert done.returncode == 1
    if "podman load" in done.stderr:
        assert "podman load failed with status 7: no space for images" in done.stderr and "--tar-path" in done.stderr
    done = build(context, "FROM scratch\nCOPY big /\n", "--load", "-t", "app", env={"PATH": str(tmp_path)})
    assert done.returncode == 1 and "--load: there is neither docker nor podman here" in done.stderr


def test_a_build_that_names_no_output_says_what_to_do(context: Path) -> None:
    done = build(context, "FROM scratch\nLABEL a=b\n")
    assert done.returncode == 0
    assert "0 B, sha256:" in done.stderr and "not pushed and not kept" in done.stderr and "--load" in done.stderr
    for flags in (["--no-push"], ["-o", "type=cacheonly"], ["-o", "type=image,name=x"], ["--push=false"]):
        assert "not kept" not in build(context, "FROM scratch\nLABEL a=b\n", *flags).stderr


def test_an_inline_cache(context: Path, busybox: str, host: str) -> None:
    dockerfile = f"FROM {busybox}\nRUN echo slow > /x\nCOPY Dockerfile /d\nRUN echo > /y\n"
    first = build(context, dockerfile, f"-t={host}/inline/a:1", "--cache-to", "type=inline")
    assert first.returncode == 0, first.stderr
    second = build(context, dockerfile, f"-t={host}/inline/a:2", "--cache-from", f"type=registry,ref={host}/inline/a:1")
    assert "3 of 3 steps found" in second.stderr
    assert "isolated by" not in second.stderr


def test_buildx_caches_on_disk_and_in_a_registry(context: Path, busybox: str, host: str, tmp_path: Path) -> None:
    dockerfile = f"FROM {busybox}\nRUN echo slow > /x\n"
    for kind in (f"type=local,dest={tmp_path / 'c'}", f"type=registry,ref={host}/bx/cache:b"):
        source = kind.replace("dest=", "src=")
        build(context, dockerfile, "--no-push", "--cache-to", kind)
        assert "1 of 1 step found" in build(context, dockerfile, "--no-push", "--cache-from", source).stderr
        assert "steps found" not in build(context, dockerfile, "--no-push", "--cache-from", source, "--no-cache").stderr
