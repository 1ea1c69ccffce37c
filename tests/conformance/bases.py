"""The base images of the conformance cases: busybox and Debian, made by gazami, in a registry on loopback."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.debian import debian_rootfs
from tests.programs import gazami
from tests.roots import busybox_root


@dataclass(frozen=True)
class Bases:
    """``host`` is the registry; ``store`` a storage folder for buildah that is kept for the whole session."""

    host: str
    store: Path
    work: Path

    def arguments(self, dockerfile: Path) -> tuple[str, ...]:
        """The build arguments that a case's Dockerfile asks for; a base is made when it is first wanted."""
        text = dockerfile.read_text()
        found = []
        if "$BASE" in text:
            found.append(f"--build-arg=BASE={self.busybox()}")
        if "$DEBIAN" in text:
            found.append(f"--build-arg=DEBIAN={self.debian()}")
        return tuple(found)

    def busybox(self) -> str:
        return self._made("busybox", self._busybox_tar)

    def debian(self) -> str:
        return self._made("debian", self._debian_tar)

    def _made(self, name, tar) -> str:  # type: ignore[no-untyped-def]
        reference = f"{self.host}/base/{name}:1"
        context = self.work / name
        if not context.exists():
            context.mkdir(parents=True)
            tar(context / "rootfs.tar")
            (context / "Dockerfile").write_text('FROM scratch\nADD rootfs.tar /\nCMD ["sh"]\n')
            done = gazami("build", str(context), "-t", reference, f"--state-dir={self.work / 'state'}")
            assert done.returncode == 0, done.stderr
        return reference

    def _busybox_tar(self, tar: Path) -> None:
        root = self.work / "busybox-root"
        busybox_root(root)
        subprocess.run(["tar", "-C", str(root), "--numeric-owner", "-cf", str(tar), "."], check=True)
        shutil.rmtree(root)

    def _debian_tar(self, tar: Path) -> None:
        shutil.copyfile(debian_rootfs(), tar)
