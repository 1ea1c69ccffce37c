"""Builds of different isolations with one cache mount of one state directory: its content is in no image, and none is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from tests.programs import gazami
from tests.roots import busybox_root

START = "FROM scratch\nADD rootfs.tar /\nRUN --mount=type=cache,id=shared,target=/cache "
FIRST = START + "echo TOKEN > /cache/a; sleep 3\n"
SECOND = START + "echo TOKEN > /cache/b; ls /cache\n"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("context")
    root = busybox_root(tmp_path_factory.mktemp("root"))
    subprocess.run(["tar", "-C", str(root), "--numeric-owner", "-cf", str(folder / "rootfs.tar"), "."], check=True)
    (folder / "first").write_text(FIRST)
    (folder / "second").write_text(SECOND)
    return folder


def command(context: Path, place: Path, name: str, isolation: str) -> list[str]:
    return [
        "build", str(context), "-f", str(context / name), "--no-push", f"--isolation={isolation}",
        f"--state-dir={place / 'state'}", f"--oci-layout-path={place / name}",
    ]  # fmt: skip


def names(layout: Path) -> set[str]:
    """Of the files in the image's layers."""
    blobs = layout / "blobs"

    def blob(digest: str) -> Path:
        return blobs / digest.replace(":", "/")

    manifest = json.loads(blob(json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]).read_text())
    found: set[str] = set()
    for layer in manifest["layers"]:
        with tarfile.open(blob(layer["digest"])) as archive:
            found.update(archive.getnames())
    return found


@pytest.mark.parametrize("second", ["namespaces", "userns", "chroot"])
@pytest.mark.parametrize("first", ["chroot", "namespaces"])
def test_two_builds_with_one_cache(context: Path, tmp_path: Path, first: str, second: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "gazami", *command(context, tmp_path, "first", first)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as running:  # fmt: skip
        time.sleep(1.5)
        done = gazami(*command(context, tmp_path, "second", second))
        assert running.wait(60) == 0
    assert done.returncode == 0, done.stderr
    for name in ("first", "second"):
        assert not {each for each in names(tmp_path / name) if each.startswith("cache/")}
    [cache] = [path for path in (tmp_path / "state/cache-mounts").iterdir() if path.is_dir()]
    assert {path.name for path in cache.iterdir()} == {"a", "b"}
