#!/usr/bin/env python3
"""Assembles the folder that the images are made of: ``kaniko/``, which runs on any root file system, and ``busybox/``.

``/kaniko`` holds a Python of its own with its loader and its C library, found by their own paths (RPATH), so that
whatever lies at ``/lib`` or ``/etc`` of the container makes no difference: not another libc, not an ``ld.so.preload``, not an
``nsswitch.conf``. The loader and the C library are told so by replacing paths in them by others of the same length.

Usage: ``assemble.py FOLDER``, on Debian with python3.11, pip, patchelf, git, busybox-static, musl-tools and liblzma-dev. Standard
library only.
"""

from __future__ import annotations

import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from single import COMPILER, PLACEHOLDER, write_executor

ROOT = Path(__file__).resolve().parents[2]
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
MACHINE = os.uname().machine
LOADER = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}[MACHINE]

LEFT_OUT = frozenset(
    (
        "test",
        "tests",
        "tkinter",
        "idlelib",
        "ensurepip",
        "lib2to3",
        "turtledemo",
        "distutils",
        "pydoc_data",
        "sqlite3",
        "curses",
        "venv",
        "unittest",
        "asyncio",
        "multiprocessing",
        "xml",
        "xmlrpc",
        "wsgiref",
        "dbm",
        "msilib",
        "pip",
        "__pycache__",
        "dist-packages",
        "site-packages",
        "turtle.py",
        "pydoc.py",
        "doctest.py",
        "imaplib.py",
        "smtplib.py",
        "mailbox.py",
        "nntplib.py",
        "telnetlib.py",
        "ftplib.py",
        "poplib.py",
        "cgi.py",
        "pickletools.py",
        "pdb.py",
        "trace.py",
        "profile.py",
        "cProfile.py",
        "tabnanny.py",
        "zipapp.py",
        "webbrowser.py",
        "_pydecimal.py",
        "nturl2path.py",
        "ntpath.py",
        "plistlib.py",
        "statistics.py",
        "smtpd.py",
        "aifc.py",
        "asyncore.py",
        "asynchat.py",
        "bdb.py",
        "cgitb.py",
        "chunk.py",
        "cmd.py",
        "code.py",
        "codeop.py",
        "colorsys.py",
        "compileall.py",
        "crypt.py",
        "difflib.py",
        "fileinput.py",
        "filecmp.py",
        "fractions.py",
        "graphlib.py",
        "imghdr.py",
        "mailcap.py",
        "modulefinder.py",
        "optparse.py",
        "pipes.py",
        "pstats.py",
        "pty.py",
        "pyclbr.py",
        "sched.py",
        "shelve.py",
        "sndhdr.py",
        "socketserver.py",
        "sunau.py",
        "symtable.py",
        "this.py",
        "antigravity.py",
        "timeit.py",
        "tty.py",
        "uu.py",
        "wave.py",
        "xdrlib.py",
        "zoneinfo",
        "decimal.py",
        "_pyio.py",
        "_osx_support.py",
        "_aix_support.py",
        "_aix.py",
        "_bootsubprocess.py",
        "__phello__",
        "__hello__.py",
        "cookiejar.py",
        "wintypes.py",
        "handlers.py",
        "config.py",
        "server.py",
        "robotparser.py",
        "cookies.py",
        "uuid.py",
        "sysconfig.py",
        "imp.py",
        "numbers.py",
        "netrc.py",
        "_markupbase.py",
        "sre_constants.py",
        "sre_compile.py",
        "sre_parse.py",
        "glob.py",
        "EXTERNALLY-MANAGED",
        "architecture.rst",
        "_distutils_system_mod.py",
        "tool.py",
        "mime",
    )
)
MODULES_LEFT_OUT = re.compile(
    r"_(test|tkinter|sqlite3|curses|crypt|dbm|gdbm|xx|codecs_|decimal|asyncio|zoneinfo|lsprof|multi|uuid|posixshmem)"
    r"|nis|ossaudiodev|audioop|readline|xxlimited"
)
CODECS_LEFT_OUT = re.compile(
    r"(cp(?!437)|mac_|iso8859_|iso2022|koi8|big5|euc_|gb|shift_|johab|hz|hp_|kz1048|ptcp154|tis_620|palmos)\w*\.py"
)
"""Codecs of single countries. cp437 stays, for names in zip files; everything else is UTF-8."""
PACKAGES_LEFT_OUT = (
    "*/tests", "urllib3/contrib/emscripten", "backports/zstd/_cffi", "**/*.pyi", "*.dist-info/RECORD", "isal/isa-l/[!L]*",
)  # fmt: skip
"""For other interpreters, for type checkers, and what pip would remove files by."""
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
    kaniko = folder / "kaniko"
    for name in ("bin", "lib", ".docker", "ssl/certs", "tmp"):
        (kaniko / name).mkdir(parents=True)
    python(kaniko)
    packages(kaniko)
    git(kaniko)
    strip(kaniko)
    libraries(kaniko)
    relocate(kaniko)
    edit(kaniko)
    settle(kaniko)
    write_executor(kaniko, MACHINE, COMPILER, without_edits)
    busybox(folder / "busybox")
    size = sum(each.lstat().st_size for each in kaniko.rglob("*") if each.is_file() and not each.is_symlink())
    sys.stdout.write(f"{kaniko}: {size / 1e6:.1f} MB\n")
    return 0


def python(kaniko: Path) -> None:
    """The interpreter and its standard library, without what a builder never imports."""
    shutil.copy(Path(sys.executable).resolve(), kaniko / "bin/python3")
    source = Path(sysconfig.get_path("stdlib"))

    def ignored(place: str, names: list[str]) -> set[str]:
        out = {name for name in names if name in LEFT_OUT or name.startswith(("config-", "_sysconfigdata_"))}
        if place.endswith("lib-dynload"):
            out |= {name for name in names if MODULES_LEFT_OUT.match(name)}
        if place.endswith("encodings"):
            out |= {name for name in names if CODECS_LEFT_OUT.fullmatch(name)}
        return out

    shutil.copytree(source, kaniko / "lib" / VERSION, ignore=ignored, symlinks=False)


def packages(kaniko: Path) -> None:
    """The locked dependencies, with their hashes checked, and gazami itself."""
    target = kaniko / "lib" / VERSION / "dist-packages"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile", "--require-hashes",
         "--target", str(target), "-r", str(ROOT / "requirements/runtime.txt")],
        check=True,
    )  # fmt: skip
    shutil.copytree(ROOT / "src/gazami", target / "gazami", ignore=shutil.ignore_patterns("__pycache__"))
    for pattern in PACKAGES_LEFT_OUT:
        for each in target.glob(pattern):
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    shutil.rmtree(target / "bin", ignore_errors=True)
    shutil.copy(ROOT / "LICENSE", kaniko / "LICENSE")


def git(kaniko: Path) -> None:
    """git with its helper for http; it finds that by GIT_EXEC_PATH."""
    core = kaniko / "libexec/git-core"
    core.mkdir(parents=True)
    shutil.copy("/usr/bin/git", kaniko / "bin/git")
    (core / "git").symlink_to("../../bin/git")
    shutil.copy("/usr/lib/git-core/git-remote-http", core / "git-remote-http")
    (core / "git-remote-https").symlink_to("git-remote-http")


def is_elf(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def elves(kaniko: Path) -> list[Path]:
    return [path for path in sorted(kaniko.rglob("*")) if is_elf(path)]


def strip(kaniko: Path) -> None:
    if shutil.which("strip"):
        for path in elves(kaniko):
            subprocess.run(["strip", "--strip-unneeded", str(path)], check=False, capture_output=True)


def libraries(kaniko: Path) -> None:
    """Every library that any of the programs and modules needs, and those that the C library opens by itself."""
    needed: dict[str, str] = {}
    for path in elves(kaniko):
        listed = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
        needed |= dict(re.findall(r"^\s*(\S+) => (/\S+)", listed, re.MULTILINE))
    places = Path(needed["libc.so.6"]).parent
    for name in PRELOADED:
        if (places / name).exists():
            needed.setdefault(name, str(places / name))
    for name, place in needed.items():
        shutil.copy(Path(place).resolve(), kaniko / "lib" / name)
    shutil.copy(Path(LOADER).resolve(), kaniko / "lib" / Path(LOADER).name)
    for path in (kaniko / "lib").glob("*.so*"):
        path.chmod(0o755)


def relocate(kaniko: Path) -> None:
    """Each file looks for its libraries in /kaniko/lib (RPATH, which holds for what a module needs too); programs name our
    loader. Not by ``$ORIGIN``, which the loader finds out from /proc, and not every root has one. The folder's name is as long as
    that of any other place may be that the executor unpacks the same files to."""
    own = PLACEHOLDER.decode()
    loader = kaniko / "lib" / Path(LOADER).name
    for path in elves(kaniko):
        if path == loader or path.name == "libc.so.6":
            continue
        words = ["patchelf", "--force-rpath", "--set-rpath", f"{own}/lib"]
        found = subprocess.run(["patchelf", "--print-interpreter", str(path)], capture_output=True, text=True, check=False)
        if found.returncode == 0 and found.stdout.strip().startswith("/lib"):
            words += ["--set-interpreter", f"{own}/lib/{loader.name}"]
        subprocess.run([*words, str(path)], check=True)


def edit(kaniko: Path) -> None:
    """Same-length edits, so that nothing of the container's ``/etc`` is read by the loader and the resolver."""
    for name, pairs in EDITS.items():
        path = kaniko / "lib" / (Path(LOADER).name if name == "loader" else name)
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


def busybox(folder: Path) -> None:
    """A static shell with its applets, for the debug image."""
    folder.mkdir()
    program = next(Path(place) for place in ("/bin/busybox", "/usr/bin/busybox") if Path(place).exists())
    shutil.copy(program, folder / "busybox")
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
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
