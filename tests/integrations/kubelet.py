"""A container of a pod as a kubelet starts it, by podman: volumes, secrets with their links, the file for the last words."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.podman import LIMITS, Podman


@dataclass(frozen=True, slots=True)
class Ended:
    status: int
    log: str


@dataclass(frozen=True, slots=True)
class Kubelet:
    """``options`` are podman's for the profile and the capabilities that containerd gives; ``folder`` holds the volumes."""

    podman: Podman
    options: Sequence[str]
    folder: Path

    def words(
        self,
        image: str,
        command: Sequence[str],
        args: Sequence[str],
        volumes: Mapping[str, Path],
        env: Mapping[str, str],
        folder: str = "",
    ) -> list[str]:
        """Of ``podman create`` or ``run``. A command is an entry point, which leaves nothing of the image's own arguments."""
        words = ["--network", "host", *LIMITS, *self.options, "-i"]
        for target, source in sorted(volumes.items()):
            words += ["-v", f"{source}:{target}"]
        for name, value in env.items():
            words += ["-e", f"{name}={value}"]
        if folder:
            words += ["-w", folder]
        if command:
            words += ["--entrypoint", command[0]]
        return [*words, image, *command[1:], *args]

    def run(self, words: Sequence[str], data: bytes = b"") -> Ended:
        every = self.podman.command("run", "--rm", *words)
        done = subprocess.run(every, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=240)
        return Ended(done.returncode, done.stdout.decode())

    def projected(self, name: str, files: Mapping[str, str]) -> Path:
        """A volume of a Secret or a ConfigMap: each file is a link into ``..data``, which is a link to a folder with a date."""
        place = self.folder / name
        inner = place / "..2026_01_01_00_00_00.000000001"
        inner.mkdir(parents=True)
        (place / "..data").symlink_to(inner.name)
        for key, text in files.items():
            (inner / key).write_text(text)
            (place / key).symlink_to(f"..data/{key}")
        return place

    def empty(self, name: str) -> Path:
        place = self.folder / name
        place.mkdir()
        place.chmod(0o777)
        return place

    def copy(self, name: str, source: Path) -> Path:
        return Path(shutil.copytree(source, self.folder / name))


@dataclass(frozen=True, slots=True)
class Running:
    """A container that its caller keeps, for commands that it sends later."""

    kubelet: Kubelet
    name: str

    def command(self, *words: str, data: str = "") -> Ended:
        every = self.kubelet.podman.command("exec", "-i", self.name, *words)
        done = subprocess.run(
            every, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=240
        )
        return Ended(done.returncode, done.stdout)
