"""Roots that a RUN meets: plain busybox, a program linked to musl, and a root whose files would break a builder that used them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.roots import busybox_root

HELLO = """
#include <stdio.h>
int main(void) { puts("hello of musl"); return 0; }
"""
MARK = """
extern int creat(const char *path, unsigned mode);
extern long write(int fd, const void *data, unsigned long size);
__attribute__((constructor)) static void mark(void) { creat("marked", 0644); write(2, "PRELOADED\\n", 10); }
"""
POISONED_SHELL = "#!/bin/sh\necho POISONED >&2\nexit 99\n"
POISONED_PYTHON = "raise SystemExit('POISONED')\n"


def musl_root(root: Path) -> Path:
    """Busybox, and ``/hello``, which the loader of musl starts: it is the only shared library there."""
    [loader] = Path("/lib").glob("ld-musl-*.so.1") if shutil.which("musl-gcc") else [None]
    if loader is None:
        pytest.skip("musl-gcc is not installed: scripts/setup containers")
    busybox_root(root)
    compiled(HELLO, root / "hello", "musl-gcc")
    (root / "lib").mkdir()
    shutil.copy(loader.resolve(), root / "lib" / loader.name)
    return root


def hostile_root(root: Path) -> Path:
    """A root that works, since its busybox is static; whoever takes a library, a module, a program or a setting from it fails,
    or leaves a file ``marked`` or the word POISONED or PRELOADED."""
    busybox_root(root)
    for name, content in hostile_files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
        path.chmod(0o755)
    compiled(MARK, root / "lib/mark.so", "gcc", "-shared", "-fPIC", "-nostdlib")
    return root


def hostile_files() -> dict[str, str]:
    garbage = "glibc-ld.so.cache1.1" + "\x01" * 4096
    files = {
        "etc/ld.so.cache": garbage,
        "etc/ld.so.preload": "/lib/mark.so\n",
        "etc/nsswitch.conf": "passwd: nowhere\ngroup: nowhere\nhosts: nowhere\n",
        "etc/resolv.conf": "nameserver 192.0.2.1\n",
        "etc/hosts": "192.0.2.1 localhost\n",
        "usr/lib/ssl/openssl.cnf": "openssl_conf = nothing\n",
        "kaniko/.docker/config.json": '{"credsStore": "poisoned"}',
        "kaniko/.builder-image": "a file of the image's own\n",
        "kaniko/lib/python3.11/os.py": POISONED_PYTHON,
    }
    for place in ("lib64", "lib", "lib/x86_64-linux-gnu", "usr/lib", "usr/lib/x86_64-linux-gnu", "kaniko/lib"):
        files |= {f"{place}/{name}": garbage for name in ("libc.so.6", "libz.so.1", "ld-linux-x86-64.so.2")}
    for name in ("python3", "python3.11", "git", "tar", "newuidmap"):
        files |= {f"{place}/{name}": POISONED_SHELL for place in ("usr/bin", "usr/local/bin", "kaniko/bin")}
    for module in ("os.py", "site.py", "encodings/__init__.py"):
        files[f"usr/lib/python3.11/{module}"] = POISONED_PYTHON
    return {**files, "kaniko/executor": POISONED_SHELL}


def compiled(source: str, target: Path, *words: str) -> None:
    if not shutil.which(words[0]):
        pytest.skip(f"{words[0]} is not installed: scripts/setup containers")
    command = [*words, "-x", "c", "-", "-o", str(target)]
    subprocess.run(command, input=source, text=True, check=True, capture_output=True)


ROOTS = {"busybox": busybox_root, "musl": musl_root, "hostile": hostile_root}
