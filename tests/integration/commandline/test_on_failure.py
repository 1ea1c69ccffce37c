"""``--on-failure``: the files of a RUN that failed, in the modes of this machine, and nothing that the step only saw."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from tests.programs import gazami

pytestmark = [pytest.mark.service, pytest.mark.sandbox, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

SECRET = "a secret of this test"
STEP = (
    "RUN --mount=type=secret,id=s --mount=type=cache,target=/c --mount=type=tmpfs,target=/t cat /run/secrets/s > /c/copy && "
    "cp /c/copy /t && echo made > made && chown 12:34 made && rm /gone; exit 7\n"
)


def build(context: Path, busybox: str, *words: str, step: str = STEP) -> tuple[int, str]:
    (context / "secret").write_text(SECRET)
    (context / "kept").write_text("kept\n")
    (context / ".dockerignore").write_text("secret\n")
    (context / "Dockerfile").write_text(
        f"FROM {busybox}\nARG TOKEN=token-of-this-test\nENV A='b c'\nCOPY kept /gone\nCOPY --chown=5:6 kept /\nWORKDIR /app\n{step}"
    )
    secret = f"--secret=id=s,src={context / 'secret'}"
    done = gazami("build", str(context), "--no-push", secret, f"--state-dir={context.parent / 'state'}", *words)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("mode", ["namespaces", "userns", "userns-single", "chroot"])
def test_a_tar_has_the_files_with_their_owners(mode: str, context: Path, busybox: str, tmp_path: Path) -> None:
    status, log = build(context, busybox, f"--isolation={mode}", f"--on-failure=tar:{tmp_path / 'out' / 'failed.tar'}")
    assert status == 7 and "token-of-this-test" not in log
    assert f"podman import {tmp_path}/out/failed.tar" in log and log.rstrip().endswith("exit code: 7")
    data = (tmp_path / "out" / "failed.tar").read_bytes()
    assert SECRET.encode() not in data
    with tarfile.open(tmp_path / "out" / "failed.tar") as archive:
        members = {each.name.strip("/"): (each.uid, each.gid) for each in archive}
    assert (members["app/made"], members["kept"]) == ((12, 34), (5, 6)) and "bin/busybox" in members
    assert "gone" not in members and not [name for name in members if "secrets" in name or name.startswith(("c/", "t/"))]


def test_a_folder_can_be_entered_and_the_step_repeated(context: Path, busybox: str, tmp_path: Path) -> None:
    folder = tmp_path / "failed"
    step = 'RUN echo "$A $TOKEN in $PWD" > made; exit 7\n'
    assert build(context, busybox, f"--on-failure=dir:{folder}", step=step)[0] == 7
    assert (folder / "app/made").read_text() == "b c token-of-this-test in /app\n"
    status, log = build(context, busybox, f"--on-failure=dir:{folder}", step=step)
    assert status == 1 and f"--on-failure: cannot write {folder}: Directory not empty" in log
    status, log = build(context, busybox, f"--on-failure=dir:{tmp_path / 'again'}", step=step)
    [command] = re.findall(r"to repeat the step:\n\s*(.*)", log)
    done = subprocess.run(["sh", "-c", command], env={"PATH": os.environ["PATH"], "TOKEN": "mine"}, check=False)
    assert done.returncode == 7 and (tmp_path / "again/app/made").read_text() == "b c mine in /app\n"


def test_nothing_is_written_without_a_failure_of_a_run(context: Path, busybox: str, tmp_path: Path) -> None:
    place = tmp_path / "failed.tar"
    assert build(context, busybox, f"--on-failure=tar:{place}", step="RUN true\n")[0] == 0
    assert build(context, busybox, f"--on-failure=tar:{place}", step="COPY nope /\n")[0] == 1
    assert not place.exists()


def test_a_place_without_room_is_a_warning(context: Path, busybox: str) -> None:
    status, log = build(context, busybox, "--on-failure=tar:/dev/full")
    assert status == 7 and "--on-failure: the files of the failed step were not written" in log


def test_a_place_that_cannot_be_written_ends_the_build_before_its_first_step(context: Path, busybox: str) -> None:
    status, log = build(context, busybox, "--on-failure=tar:/proc/failed.tar")
    assert status == 1 and "--on-failure: cannot write /proc/failed.tar" in log
