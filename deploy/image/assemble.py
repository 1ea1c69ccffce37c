#!/usr/bin/env python3
"""Assembles the folder that the images are made of: ``kaniko/``, which runs on any root file system, and ``busybox/``.

``/kaniko`` holds a Python of its own with its loader and its C library, found by their own paths (RPATH), so that
whatever lies at ``/lib`` or ``/etc`` of the container makes no difference: not another libc, not an ``ld.so.preload``, not an
``nsswitch.conf``. The loader and the C library are told so by replacing paths in them by others of the same length.

Usage: ``assemble.py FOLDER [linux/ARCH]``, on Debian with python3.11, pip, patchelf, git, busybox-static, musl-tools and
liblzma-dev; for another architecture also mmdebstrap and a compiler for it (``machine.py``). Standard library only.
"""

from __future__ import annotations

import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

from left_out import CODECS, MODULES, NAMES, PACKAGES
from machine import Machine, machine_of
from single import PLACEHOLDER, write_executor

ROOT = Path(__file__).resolve().parents[2]
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
PRELOADED = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libgcc_s.so.1")
EDITS = {
    "loader": ((b"/etc/ld.so.cache", b"/kaniko/ld.cache"), (b"/etc/ld.so.preload", b"/kaniko/ld.preload")),
    "libc.so.6": (
        (b"/etc/nsswitch.conf", b"/kaniko/nsswitch.c"), (b"/etc/resolv.conf", b"/kaniko/resolv.c"),
        (b"/etc/hosts", b"/kaniko/ho"), (b"/etc/gai.conf", b"/kaniko/gai.c"), (b"/etc/host.conf", b"/kaniko/host.c"),
    ),
}  # fmt: skip
LINKS = {"resolv.c": "/etc/resolv.conf", "ho": "/etc/hosts"}
"""What the container runtime writes. A builder that lends ``/`` to a command has copies here meanwhile."""
SCRIPT = """#!/kaniko/bin/python3 -IB
import os, sys
os.environ.setdefault("GIT_EXEC_PATH", sys.prefix + "/libexec/git-core")
os.environ.setdefault("OPENSSL_CONF", "/dev/null")
if sys.prefix != "/kaniko":
    os.environ.setdefault("SSL_CERT_DIR", "/kaniko/ssl/certs:" + sys.prefix + "/ssl/certs")
from gazami.cli.kaniko.{module} import main
main()
"""


def main() -> int:
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    machine = machine_of(sys.argv[2] if len(sys.argv) > 2 else "", folder / "debian")
    kaniko = folder / "kaniko"
    for name in ("bin", "lib", ".docker", "ssl/certs", "tmp"):
        (kaniko / name).mkdir(parents=True)
    python(kaniko, machine)
    packages(kaniko, machine)
    git(kaniko, machine)
    strip(kaniko, machine)
    libraries(kaniko, machine)
    relocate(kaniko, machine)
    edit(kaniko, machine)
    settle(kaniko)
    write_executor(kaniko, machine, without_edits)
    busybox(folder / "busybox", machine)
    shutil.rmtree(folder / "debian", ignore_errors=True)
    size = sum(each.lstat().st_size for each in kaniko.rglob("*") if each.is_file() and not each.is_symlink())
    sys.stdout.write(f"{kaniko}: {size / 1e6:.1f} MB\n")
    return 0


def python(kaniko: Path, machine: Machine) -> None:
    """The interpreter and its standard library, without what a builder never imports."""
    shutil.copy(machine.root / "usr/bin" / VERSION, kaniko / "bin/python3")

    def ignored(place: str, names: list[str]) -> set[str]:
        out = {name for name in names if name in NAMES or name.startswith(("config-", "_sysconfigdata_"))}
        if place.endswith("lib-dynload"):
            out |= {name for name in names if MODULES.match(name)}
        if place.endswith("encodings"):
            out |= {name for name in names if CODECS.fullmatch(name)}
        return out

    shutil.copytree(machine.root / "usr/lib" / VERSION, kaniko / "lib" / VERSION, ignore=ignored, symlinks=False)


def packages(kaniko: Path, machine: Machine) -> None:
    """The locked dependencies, with their hashes checked, and gazami itself."""
    target = kaniko / "lib" / VERSION / "dist-packages"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile", "--require-hashes",
         *machine.wheels, "--target", str(target), "-r", str(ROOT / "requirements/runtime.txt")],
        check=True,
    )  # fmt: skip
    shutil.copytree(ROOT / "src/gazami", target / "gazami", ignore=shutil.ignore_patterns("__pycache__"))
    for pattern in PACKAGES:
        for each in target.glob(pattern):
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    shutil.rmtree(target / "bin", ignore_errors=True)
    shutil.copy(ROOT / "LICENSE", kaniko / "LICENSE")


def git(kaniko: Path, machine: Machine) -> None:
    """git with its helper for http; it finds that by GIT_EXEC_PATH."""
    core = kaniko / "libexec/git-core"
    core.mkdir(parents=True)
    shutil.copy(machine.root / "usr/bin/git", kaniko / "bin/git")
    (core / "git").symlink_to("../../bin/git")
    shutil.copy(machine.root / "usr/lib/git-core/git-remote-http", core / "git-remote-http")
    (core / "git-remote-https").symlink_to("git-remote-http")


def is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def elves(kaniko: Path) -> list[Path]:
    return [path for path in sorted(kaniko.rglob("*")) if is_elf(path)]


def strip(kaniko: Path, machine: Machine) -> None:
    if program := shutil.which(f"{machine.triplet}-strip"):
        for path in elves(kaniko):
            subprocess.run([program, "--strip-unneeded", str(path)], check=False, capture_output=True)


def libraries(kaniko: Path, machine: Machine) -> None:
    """Every library that any of the programs and modules needs, and those that the C library opens by itself."""
    shutil.copy(machine.loader.resolve(), kaniko / "lib" / machine.loader.name)
    todo = [*elves(kaniko), *(place for name in PRELOADED if (place := machine.library(name)))]
    while todo:
        path = todo.pop()
        if kaniko not in path.parents:
            shutil.copy(path.resolve(), kaniko / "lib" / path.name)
        listed = subprocess.run(["patchelf", "--print-needed", str(path)], capture_output=True, text=True, check=True).stdout
        for name in listed.split():
            if not (kaniko / "lib" / name).exists() and not any(each.name == name for each in todo):
                if (place := machine.library(name)) is None:
                    raise SystemExit(f"{path} needs {name}, which is not in {machine.root}")
                todo.append(place)
    for path in (kaniko / "lib").glob("*.so*"):
        path.chmod(0o755)


def relocate(kaniko: Path, machine: Machine) -> None:
    """Programs look for libraries in /kaniko/lib (RPATH, which holds for all that is loaded into them, where that has no path of
    its own) and name our loader. Not by ``$ORIGIN``, which the loader finds out from /proc, and not every root has one. The
    folder's name is as long as that of any other place may be that the executor unpacks the same files to. Libraries are not
    written to: each would grow by a page, of 64 kB on arm64."""
    own = PLACEHOLDER.decode()
    loader = kaniko / "lib" / machine.loader.name
    for path in elves(kaniko):
        if path == loader or path.name == "libc.so.6":
            continue
        found = subprocess.run(["patchelf", "--print-interpreter", str(path)], capture_output=True, text=True, check=False)
        if found.returncode == 0 and "/lib" in found.stdout and path.parent != loader.parent:
            words = ["--force-rpath", "--set-rpath", f"{own}/lib", "--set-interpreter", f"{own}/lib/{loader.name}"]
        elif subprocess.run(["patchelf", "--print-rpath", str(path)], capture_output=True, check=True).stdout.strip():
            words = ["--remove-rpath"]
        else:
            continue
        subprocess.run(["patchelf", *words, str(path)], check=True)


def edit(kaniko: Path, machine: Machine) -> None:
    """Same-length edits, so that nothing of the container's ``/etc`` is read by the loader and the resolver."""
    for name, pairs in EDITS.items():
        path = kaniko / "lib" / (machine.loader.name if name == "loader" else name)
        data = path.read_bytes()
        for old, new in pairs:
            if old not in data or len(old) != len(new):
                raise SystemExit(f"{path}: {old.decode()} is not there to be replaced")
            data = data.replace(old + b"\0", new + b"\0")
        path.write_bytes(data)
    for name, target in LINKS.items():
        (kaniko / name).symlink_to(target)
    (kaniko / "nsswitch.c").write_text("passwd: files\ngroup: files\nhosts: files dns\n")


def without_edits(path: Path, data: bytes) -> bytes:
    """What a copied executor carries: without /kaniko's links its C library reads ``resolv.conf`` and ``hosts`` themselves. It
    finds no ``nsswitch.conf``, and then looks into files first."""
    if path.name == "libc.so.6":
        for old, new in EDITS["libc.so.6"]:
            if Path(new.decode()).name in LINKS:
                data = data.replace(new + b"\0", old + b"\0")
    return data


def settle(kaniko: Path) -> None:
    """Certificates, the programs, the marker, compiled modules."""
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", kaniko / "ssl/certs/ca-certificates.crt")
    warmer = kaniko / "warmer"
    warmer.write_text(SCRIPT.format(module="warmer"))
    warmer.chmod(0o755)
    (kaniko / "libexec/executor.py").write_text(SCRIPT.format(module="executor"))
    (kaniko / "libexec/executor").symlink_to("../bin/python3")
    (kaniko / ".builder-image").write_text("The root file system of this image is gazami's own.\n")
    compile_modules(kaniko)
    (kaniko / "tmp").chmod(0o1777)
    kaniko.chmod(0o777)  # kaniko's is, so that users other than root can put files there


def compile_modules(kaniko: Path) -> None:
    """Modules are there compiled and not as text, which is half as large; those of others without their docstrings."""
    library = kaniko / "lib" / VERSION
    for path in sorted(library.rglob("*.py")):
        own = library / "dist-packages/gazami" in path.parents
        py_compile.compile(
            str(path), str(path.with_suffix(".pyc")), f"/kaniko/{path.relative_to(kaniko)}", doraise=True,
            optimize=0 if own else 2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )  # fmt: skip
        path.unlink()


def busybox(folder: Path, machine: Machine) -> None:
    """A static shell with its applets, for the debug image. This machine's own lists them, of the same release."""
    folder.mkdir()
    places = (machine.root / "bin/busybox", machine.root / "usr/bin/busybox")
    shutil.copy(next(place for place in places if place.exists()), folder / "busybox")
    applets = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            (folder / applet).symlink_to("busybox")
    if "nohup" not in applets:
        shutil.copy(Path(__file__).with_name("nohup"), folder / "nohup")
        (folder / "nohup").chmod(0o755)
    shell = folder.with_name("shell") / "bin"
    shell.mkdir(parents=True)
    (shell / "sh").symlink_to("/busybox/sh")


if __name__ == "__main__":
    raise SystemExit(main())
