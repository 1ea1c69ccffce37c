"""The password for git, for one host: a program that git asks, and that answers for nobody else.

git may be sent to another host by a redirect, and to others by submodules. A header in its configuration goes along, since git
chooses it once. A program named by ``GIT_ASKPASS`` is asked with the URL that wants the password *then*
(``Password for 'https://user@host': ``, git's credential.c), and this one compares scheme, host and port. It holds no secret:
user and password come by variables of git's own environment, so they stand in no argument and in no file.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

_PROGRAM = r"""
import os, re, sys
asked = re.fullmatch(r"(Username|Password) for '(https?://)(?:[^@/]*@)?([^@/']+)/?': ?", " ".join(sys.argv[1:]))
if not asked or asked[2] + asked[3] not in os.environ.get("GAZAMI_GIT_FOR", "").split():
    sys.exit("no credentials for this host")
print(os.environ.get("GAZAMI_GIT_USER" if asked[1] == "Username" else "GAZAMI_GIT_PASSWORD", ""))
"""
_LONGEST = 120
"""Bytes of a first line that every kernel reads whole."""


def answers(remote: str, credentials: tuple[str, str]) -> dict[str, str]:
    """The variables that the program needs to answer for the remote's own scheme, host and port. A host that is named with http
    and leads to https of its own is the same one."""
    parts = urlsplit(remote)
    user, password = credentials
    host = parts.netloc.rpartition("@")[2]
    better = f" https://{host}" if parts.scheme == "http" and ":" not in host else ""
    return {
        "GAZAMI_GIT_FOR": f"{parts.scheme}://{host}{better}",
        "GAZAMI_GIT_USER": user,
        "GAZAMI_GIT_PASSWORD": password,
    }


@contextlib.contextmanager
def offered(environment: Mapping[str, str], folder: Path) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """Variables for git, and descriptors that it has to inherit; none where ``environment`` has no :func:`answers`.

    The program is a file in ``folder``, or in memory where that is mounted noexec.
    """
    if "GAZAMI_GIT_FOR" not in environment:
        yield {}, ()
        return
    program = _interpreter(sys.executable) + _PROGRAM
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        fd = os.memfd_create("askpass", 0)
        try:
            os.write(fd, program.encode())
            yield {"GIT_ASKPASS": f"/proc/self/fd/{fd}"}, (fd,)
        finally:
            os.close(fd)
        return
    place = folder / "askpass"
    if not place.exists():
        part = place.with_suffix(".part")
        part.write_text(program)
        part.chmod(0o700)
        part.rename(place)
    yield {"GIT_ASKPASS": str(place)}, ()


def _interpreter(python: str) -> str:
    """The first lines of a script for an interpreter at any path; one with spaces is started by a shell, as pip does it."""
    if " " not in python and len(python.encode()) < _LONGEST:
        return f"#!{python} -ISB\n"
    return f"""#!/bin/sh\n'''exec' "{python}" -ISB "$0" "$@"\n' '''\n"""
