"""What the images of an architecture are made from: this Debian, or the same Debian's packages for another architecture.

Those are unpacked by mmdebstrap, and nothing of them is run: libraries are found by what ELF files name, wheels are chosen by their
platform, Python's modules are compiled by this machine's Python, which is of the same release.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

LOADERS = {"x86_64": "lib64/ld-linux-x86-64.so.2", "aarch64": "lib/ld-linux-aarch64.so.1"}
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
PACKAGES = "python3,git,busybox-static,musl-dev,liblzma-dev"
FLAGS = ("-std=gnu11", "-Os", "-static", "-s", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none", "-nostdinc", "-nostdlib")


@dataclass(frozen=True)
class Machine:
    """``name`` is uname's, ``root`` where the Debian lies."""

    name: str
    root: Path

    @property
    def triplet(self) -> str:
        return f"{self.name}-linux-gnu"

    @property
    def loader(self) -> Path:
        return self.root / LOADERS[self.name]

    @property
    def wheels(self) -> tuple[str, ...]:
        """pip's words for wheels that are not for this machine."""
        if self.name == os.uname().machine:
            return ()
        platforms = [word for tag in ("2_28", "2_17") for word in ("--platform", f"manylinux_{tag}_{self.name}")]
        return (*platforms, "--platform", f"manylinux2014_{self.name}", "--only-binary", ":all:", "--python-version", "3.11")

    def library(self, name: str) -> Path | None:
        places = (self.root / folder / self.triplet / name for folder in ("lib", "usr/lib"))
        return next((place for place in places if place.exists()), None)

    def compiled(self, source: Path, target: Path, *words: str) -> list[str]:
        """The compiler's command for a static program with musl and liblzma. musl makes 130 kB of it where glibc makes 880."""
        musl = f"{self.name}-linux-musl"
        headers = ("-isystem", f"{self.root}/usr/include/{musl}", "-idirafter", f"{self.root}/usr/include")
        library = self.root / "usr/lib" / musl
        lzma = f"{self.root}/usr/lib/{self.triplet}/liblzma.a"
        before, after = [str(library / name) for name in ("crt1.o", "crti.o")], str(library / "crtn.o")
        linked = [*before, str(source), lzma, str(library / "libc.a"), "-lgcc", str(library / "libc.a"), after]
        return [f"{self.triplet}-gcc", *FLAGS, *headers, *words, "-o", str(target), *linked]


def machine_of(platform: str, folder: Path) -> Machine:
    """The machine of ``linux/ARCH``, this one's by default; another one's Debian is unpacked into ``folder``."""
    own = os.uname().machine
    architecture = platform.removeprefix("linux/") or next(key for key, name in ARCHITECTURES.items() if name == own)
    if architecture not in ARCHITECTURES:
        raise SystemExit(f"no images for {platform}: choose linux/amd64 or linux/arm64")
    if ARCHITECTURES[architecture] == own:
        return Machine(own, Path("/"))
    release = next(
        line.partition("=")[2] for line in Path("/etc/os-release").read_text().splitlines() if "VERSION_CODENAME" in line
    )
    words = [
        "mmdebstrap",
        "-q",
        "--variant=extract",
        f"--architectures={architecture}",
        f"--include={PACKAGES}",
        release,
        str(folder),
    ]
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mmdebstrap: {done.stderr.strip() or done.returncode}")
    return Machine(ARCHITECTURES[architecture], folder)
