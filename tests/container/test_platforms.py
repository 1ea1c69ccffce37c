"""``make images`` for both architectures from this machine: an index of images, and the other one's programs under emulation.

They are started by qemu with their own loader, which needs nothing of the kernel; what starts other programs needs binfmt_misc.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.container.conftest import ROOT, Podman
from tests.container.modules import NEVER_IMPORTED, missing

OTHER = {"x86_64": ("arm64", "aarch64"), "aarch64": ("amd64", "x86_64")}[os.uname().machine]
PLATFORMS = "linux/amd64,linux/arm64"


@pytest.fixture(scope="module")
def made(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that ``scripts/images`` fills; the images are pushed to the registry."""
    if not shutil.which("mmdebstrap") or not shutil.which(f"{OTHER[1]}-linux-gnu-gcc"):
        pytest.skip("mmdebstrap and a compiler for the other architecture are not installed: scripts/setup containers")
    out = tmp_path_factory.mktemp("platforms")
    done = subprocess.run(
        [str(ROOT / "scripts/images"), f"{podman.registry}/both", PLATFORMS],
        env={**os.environ, "OUT": str(out)}, capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def emulated(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    qemu = f"qemu-{OTHER[1]}-static"
    if not shutil.which(qemu):
        pytest.skip(f"{qemu} is not installed: scripts/setup containers")
    [loader] = (tree / "lib").glob("ld-linux-*")
    python = str(tree / "bin/python3")
    start = [qemu, str(loader), "--library-path", str(tree / "lib"), "--argv0", python, python, "-IB"]
    every = [*start, str(tree / "libexec/executor.py"), *words]
    return subprocess.run(every, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def tree(made: Path) -> Path:
    return made / f"tree-{OTHER[0]}/kaniko"


@pytest.mark.parametrize("name", ["executor:latest", "executor:debug", "warmer:latest"])
def test_each_name_is_an_index(name: str, made: Path, podman: Podman) -> None:
    words = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{podman.registry}/both/{name}"]
    raw = subprocess.run(words, capture_output=True, check=True)
    platforms = [each["platform"] for each in json.loads(raw.stdout)["manifests"]]
    assert platforms == [{"architecture": "amd64", "os": "linux"}, {"architecture": "arm64", "os": "linux"}]
    for architecture in ("amd64", "arm64"):
        kind = {"executor:latest": "executor", "executor:debug": "debug", "warmer:latest": "warmer"}[name]
        words = ["skopeo", "inspect", "--config", f"oci-archive:{made}/{kind}-{architecture}.oci.tar"]
        config = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)
        assert config["architecture"] == architecture


def test_the_other_one_is_small_and_whole(tree: Path) -> None:
    """Every program and library is for that machine, and no module is missing."""
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < 60_000_000
    number = {"aarch64": 183, "x86_64": 62}[OTHER[1]]
    elves = [path for path in files if path.read_bytes()[:4] == b"\x7fELF"]
    assert len(elves) > 50
    assert all(int.from_bytes(path.read_bytes()[18:20], "little") == number for path in elves)
    assert missing(tree) <= NEVER_IMPORTED


def test_the_other_one_builds(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /of\n")
    done = emulated(tree, f"--context={tmp_path}", "--no-push", f"--tar-path={tmp_path}/a.tar", f"--state-dir={tmp_path}/state")
    assert done.returncode == 0, done.stderr
    words = ["skopeo", "inspect", "--config", f"docker-archive:{tmp_path}/a.tar"]
    assert json.loads(subprocess.run(words, capture_output=True, check=True).stdout)["architecture"] == OTHER[0]


def test_the_other_ones_file_unpacks(tree: Path, tmp_path: Path) -> None:
    """It is started as far as this kernel starts programs for that machine."""
    if not shutil.which(f"qemu-{OTHER[1]}-static"):
        pytest.skip("qemu is not installed: scripts/setup containers")
    shutil.copy(tree / "executor", tmp_path / "alone")
    environ = {"GAZAMI_STATE_DIR": str(tmp_path / "state"), "PATH": os.environ["PATH"]}
    start = [f"qemu-{OTHER[1]}-static", str(tmp_path / "alone"), "version"]
    done = subprocess.run(start, env=environ, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("Kaniko version") or "Exec format error" in done.stderr
    [folder] = (tmp_path / "state").glob("program-*")
    carried = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert Path("bin/git") in carried and len(carried) > 500
    assert (folder / "lib/libssl.so.3").read_bytes() == (tree / "lib/libssl.so.3").read_bytes()
    assert str(folder).encode() in (folder / "bin/python3").read_bytes()


def test_a_platform_that_there_is_not(tmp_path: Path) -> None:
    words = ["/usr/bin/python3", str(ROOT / "deploy/image/assemble.py"), str(tmp_path / "tree"), "linux/s390x"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "no images for linux/s390x: choose linux/amd64 or linux/arm64\n"
