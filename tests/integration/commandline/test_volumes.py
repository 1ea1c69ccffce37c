"""``--volume``: files of the machine in RUN, in every mode, and in no layer."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.integration.commandline.conftest import busybox, context, host
from tests.programs import gazami

__all__ = ["busybox", "context", "host"]

pytestmark = [pytest.mark.service, pytest.mark.sandbox]

MOUNTING = ("namespaces", "userns", "userns-single")


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    (folder / "..data").mkdir(parents=True)
    (folder / "..data/key.pem").write_text("private\n")
    (folder / "key.pem").symlink_to("..data/key.pem")
    return folder


def build(context: Path, busybox: str, dockerfile: str, *words: str) -> Any:
    (context / "Dockerfile").write_text(f"FROM {busybox}\n{dockerfile}")
    return gazami("build", str(context), f"--state-dir={context.parent / 'state'}", *words)


def files(archive: Path) -> set[str]:
    listed = subprocess.run(["tar", "-tf", str(archive)], check=True, capture_output=True, text=True)
    return {line.removeprefix("./").rstrip("/") for line in listed.stdout.splitlines()}


@pytest.mark.parametrize("isolation", [*MOUNTING, "chroot"])
def test_a_step_sees_it_and_no_layer_has_it(context: Path, busybox: str, volume: Path, isolation: str, tmp_path: Path) -> None:
    archive = tmp_path / "files.tar"
    done = build(
        context, busybox,
        "RUN cat /run/secrets/key/key.pem > /seen\nRUN test private = $(cat /one.pem) && test -e /run/secrets/key/key.pem\n",
        f"--volume={volume}:/run/secrets/key:ro", f"--volume={volume / '..data/key.pem'}:/one.pem:ro",
        f"--isolation={isolation}", "--no-push", f"--output=type=tar,dest={archive}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"RUN sees the volumes /one.pem ({volume / '..data/key.pem'}); /run/secrets/key ({volume})" in done.stderr
    found = files(archive)
    assert "seen" in found and not {"one.pem", "run/secrets", "run/secrets/key"} & found
    assert sorted(path.name for path in volume.iterdir()) == ["..data", "key.pem"]


@pytest.mark.parametrize("isolation", MOUNTING)
def test_writing(context: Path, busybox: str, volume: Path, isolation: str) -> None:
    step = "RUN echo made > /v/made\n"
    refused = build(context, busybox, step, f"--volume={volume}:/v:ro", f"--isolation={isolation}", "--no-push")
    assert refused.returncode == 1 and "Read-only file system" in refused.stderr and not (volume / "made").exists()
    done = build(context, busybox, step, f"--volume={volume}:/v", f"--isolation={isolation}", "--no-push")
    assert done.returncode == 0 and (volume / "made").read_text() == "made\n", done.stderr


def test_where_nothing_can_be_mounted_the_volume_stays_as_it_is(context: Path, busybox: str, volume: Path) -> None:
    refused = build(context, busybox, "RUN true\n", f"--volume={volume}:/v", "--isolation=chroot", "--no-push")
    assert refused.returncode == 1 and "chroot mode can mount nothing" in refused.stderr and ":ro" in refused.stderr
    step = "RUN rm -r /v/key.pem && echo no > /v/..data/key.pem\nRUN test private = $(cat /v/key.pem)\n"
    done = build(context, busybox, step, f"--volume={volume}:/v:ro", "--isolation=chroot", "--no-push")
    assert done.returncode == 0, done.stderr
    assert (volume / "key.pem").read_text() == "private\n"


def test_it_is_no_part_of_the_key(context: Path, busybox: str, volume: Path, host: str) -> None:
    words = ("-t", f"{host}/volumes/key:1", "--cache")
    step = "RUN cat /v/key.pem > /seen\n"
    assert build(context, busybox, step, *words, f"--volume={volume}:/v:ro").returncode == 0
    again = build(context, busybox, step, *words)
    assert again.returncode == 0 and "1 of 1 step found" in again.stderr, again.stderr


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("/nowhere:/x", "there is no /nowhere"),
        ("/tmp", "invalid value"),
        ("/tmp:x", "invalid value"),
        ("/tmp:/x:exec", "invalid value"),
        ("/tmp:/", "nothing can be put at /"),
        ("/tmp:/proc/x", "nothing can be put at /proc/x"),
        ("/tmp:/kaniko", "nothing can be put at /kaniko"),
    ],
)
def test_usage(context: Path, busybox: str, word: str, said: str) -> None:
    done = build(context, busybox, "RUN true\n", f"--volume={word}", "--no-push")
    assert done.returncode == 1 and said in done.stderr, done.stderr
