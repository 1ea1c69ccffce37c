"""``SOURCE_DATE_EPOCH`` in every form, and ``rewrite-timestamp``: the time of the image, and of new files only."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path

import pytest
from tests.gitserver import git_server, repository
from tests.integration.commandline.test_build import build
from tests.loopback import serving
from tests.programs import gazami

pytestmark = [pytest.mark.service]
MODIFIED = 1_600_000_000


def image(layout: Path) -> tuple[str, list[list[tarfile.TarInfo]]]:
    """When an image was created, and the members of its layers."""
    blobs = layout / "blobs/sha256"
    manifest = json.loads((blobs / json.loads((layout / "index.json").read_text())["manifests"][0]["digest"][7:]).read_text())
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())
    layers = []
    for layer in manifest["layers"]:
        with tarfile.open(blobs / layer["digest"][7:]) as archive:
            layers.append(archive.getmembers())
    return config["created"], layers


def created(context: Path, dockerfile: str, *words: str, **env: str) -> str:
    layout = context.parent / "layout"
    done = build(context, dockerfile, "--no-push", f"--oci-layout-path={layout}", *words, env=env)
    assert done.returncode == 0, done.stderr
    return image(layout)[0]


def test_a_global_default(context: Path) -> None:
    dockerfile = "ARG DAY=86400\nARG SOURCE_DATE_EPOCH=${DAY}\nFROM scratch\nLABEL a=b\n"
    assert created(context, dockerfile) == "1970-01-02T00:00:00Z"
    assert created(context, dockerfile, "--build-arg=SOURCE_DATE_EPOCH=1") == "1970-01-01T00:00:01Z"
    assert not created(context, dockerfile, "--build-arg=SOURCE_DATE_EPOCH=").startswith("1970")
    assert created(context, dockerfile, SOURCE_DATE_EPOCH="2") == "1970-01-01T00:00:02Z"


@pytest.mark.parametrize("value", ["yesterday", "-1", "1.5", "99999999999999", "nostage", " 5"])
def test_what_is_no_time(value: str, context: Path) -> None:
    for dockerfile, words in (
        ("FROM scratch\n", (f"--build-arg=SOURCE_DATE_EPOCH={value}",)),
        (f'ARG SOURCE_DATE_EPOCH="{value}"\nFROM scratch\n', ()),
    ):
        done = build(context, dockerfile, "--no-push", *words)
        assert done.returncode == 1
        assert f"invalid SOURCE_DATE_EPOCH: {value}" in done.stderr


def test_the_time_of_the_context(context: Path, tmp_path: Path) -> None:
    dockerfile = "ARG SOURCE_DATE_EPOCH=context\nFROM scratch\nLABEL a=b\n"
    assert not created(context, dockerfile).startswith(("1970", "2020")), "a folder has none"
    layout = tmp_path / "other"
    with git_server(tmp_path / "git") as running:
        repository(running.root / "app.git", {"Dockerfile": dockerfile, "which": "", "sub/f": ""})
        when = int(
            subprocess.run(
                ["git", "-C", str(running.root / "app.git"), "log", "-1", "--format=%ct", "main"], capture_output=True, check=True
            ).stdout
        )
        done = gazami(
            "build", f"https://{running.host}/app.git", "--no-push", f"--oci-layout-path={layout}",
            f"--state-dir={tmp_path / 's'}", env={**os.environ, "SSL_CERT_FILE": running.authority},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert image(layout)[0] == stamp(when)
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as file:
        for name, data, mtime in (("Dockerfile", dockerfile, 5), ("f", "x", MODIFIED), ("g", "x", 7)):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), mtime
            file.addfile(member, BytesIO(data.encode()))
    done = gazami(
        "build", f"tar://{archive}", "--no-push", f"--oci-layout-path={tmp_path / 'third'}", f"--state-dir={tmp_path / 's'}"
    )
    assert done.returncode == 0, done.stderr
    assert image(tmp_path / "third")[0] == stamp(MODIFIED)


def stamp(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _File(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Last-Modified", self.date_time_string(MODIFIED))
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"x")

    def log_message(self, *_: object) -> None:
        pass


def test_the_time_of_a_stage_of_sources(context: Path) -> None:
    (context / "f").write_text("x")
    with serving(_File) as server:
        url = f"http://127.0.0.1:{server.server_port}/f"
        end = "FROM scratch\nLABEL a=b\n"
        head = "ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\n"
        assert created(context, f"{head}ARG U={url}\nADD $U /\n{end}") == stamp(MODIFIED)
        for more in ("COPY f /\n", f"ADD {url} /\nENV a=b\n", f"ADD {url} {url}2 /\n", "ADD f /\n", ""):
            done = build(context, f"{head}{more}{end}", "--no-push")
            assert done.returncode == 1, more
            assert "the stage src is more than FROM scratch and one remote ADD" in done.stderr


def test_files_are_not_newer_than_the_time(context: Path, tmp_path: Path) -> None:
    (context / "old").write_text("x")
    (context / "new").write_text("x")
    os.utime(context / "old", (1000, 1000))
    os.utime(context / "new", (MODIFIED, MODIFIED))
    dockerfile = "FROM scratch\nCOPY old new /\nWORKDIR /w\n"
    base, layout = tmp_path / "base", tmp_path / "l"
    assert build(context, dockerfile, "--no-push", f"--oci-layout-path={base}").returncode == 0
    lower = image(base)[1][0]
    assert {each.name: int(each.mtime) for each in lower}["new"] == MODIFIED, "the control"
    words = ("--no-push", "--build-arg=SOURCE_DATE_EPOCH=500000000", f"--build-context=base=oci-layout://{base}")
    text = "FROM base\nCOPY old new /again/\n"
    plain = build(context, text, *words, f"--output=type=oci,tar=false,dest={layout}")
    assert plain.returncode == 0, plain.stderr
    assert {each.name: int(each.mtime) for each in image(layout)[1][-1]}["again/new"] == MODIFIED, "only with the key"
    done = build(context, text, *words, f"--output=type=oci,tar=false,dest={tmp_path / 'm'},rewrite-timestamp=true")
    assert done.returncode == 0, done.stderr
    _, layers = image(tmp_path / "m")
    times = {each.name: int(each.mtime) for each in layers[-1]}
    assert (times["again/new"], times["again/old"]) == (500000000, 1000)
    assert {each.name: int(each.mtime) for each in layers[0]}["new"] == MODIFIED, "the base is left alone"
    warned = build(context, text, words[0], words[2], f"--output=type=oci,tar=false,dest={tmp_path / 'n'},rewrite-timestamp=true")
    assert "rewrite-timestamp has no effect without SOURCE_DATE_EPOCH" in warned.stderr


def test_the_cache_keeps_layers_of_other_times_apart(context: Path, tmp_path: Path) -> None:
    (context / "new").write_text("x")
    os.utime(context / "new", (MODIFIED, MODIFIED))
    cache = f"--cache-to=type=local,dest={tmp_path / 'cache'}", f"--cache-from=type=local,src={tmp_path / 'cache'}"
    found = []
    for bound in ("500000000", "400000000", "500000000"):
        done = build(
            context, "FROM scratch\nCOPY new /\n", "--no-push", *cache, f"--build-arg=SOURCE_DATE_EPOCH={bound}",
            f"--output=type=oci,tar=false,dest={tmp_path / bound},rewrite-timestamp=true",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.append(int(image(tmp_path / bound)[1][0][0].mtime))
    assert found == [500000000, 400000000, 500000000]
