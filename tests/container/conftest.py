"""gazami's image, built by gazami and run by podman."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.programs import gazami
from tests.roots import busybox_root
from tests.services import docker_registry

ROOT = Path(__file__).parents[2]
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]


@dataclass(frozen=True, slots=True)
class Podman:
    """A store of its own. ``run`` starts the image with the context at /workspace, the network being this machine's."""

    store: Path
    image: str
    registry: str
    base: str

    def command(self, *words: str) -> list[str]:
        return [
            "podman", "--root", str(self.store / "root"), "--runroot", str(self.store / "run"), "--storage-driver", "vfs",
            "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "runc", *words,
        ]  # fmt: skip

    def run(
        self, options: list[str], *arguments: str, context: Path | None = None, image: str = ""
    ) -> subprocess.CompletedProcess[str]:
        mount = ["-v", f"{context}:/workspace"] if context is not None else []
        words = self.command(
            "run", "--rm", "--network", "host", *LIMITS, *options, *mount, image or self.image, *arguments
        )
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=180)


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")
    folder = tmp_path_factory.mktemp("images")
    with docker_registry(folder / "registry") as registry:
        host = f"localhost:{registry.port}"
        subprocess.run(["/usr/bin/python3", str(ROOT / "deploy/image/assemble.py"), str(folder / "tree")], check=True)
        for name in ("executor", "debug", "warmer"):
            done = gazami(
                "build", str(folder / "tree"), "-f", str(ROOT / "deploy/image/Dockerfile"), f"--target={name}",
                f"-t={host}/gazami:{name}", f"--state-dir={folder / 'state'}",
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        root = busybox_root(folder / "busybox/root")
        subprocess.run(
            ["tar", "-C", str(root), "--owner=0", "--group=0", "-cf", str(folder / "busybox/rootfs.tar"), "."],
            check=True,
        )
        (folder / "busybox/Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\n")
        shutil.rmtree(root)
        gazami("build", str(folder / "busybox"), f"-t={host}/busybox", f"--state-dir={folder / 'state'}")
        made = Podman(folder / "podman", f"{host}/gazami:executor", host, f"{host}/busybox")
        for name in ("executor", "debug", "warmer"):
            pull = made.command("pull", "-q", "--tls-verify=false", f"{host}/gazami:{name}")
            done = subprocess.run(pull, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        can = made.run([], "version")
        if can.returncode != 0:
            pytest.skip(f"podman cannot run containers here: {can.stderr.strip().splitlines()[-1:]}")
        yield made
