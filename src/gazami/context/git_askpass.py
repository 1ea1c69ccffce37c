"""The password for git, for one host: a program that git asks, and that answers for that host only.

git may be sent to another host by a redirect, and to others by submodules. A header in its configuration goes along, since git
chooses it once. A credential helper (gitcredentials(7)) is asked for the host that wants the password *then*, on its standard
input, and this one compares scheme, host and port. It holds no secret: user and password come by variables of git's own
environment, so no argument and no file has them.

git starts helpers by a shell. Where there is none, in gazami's own image, the same program is the one of ``GIT_ASKPASS``. Then the
question for a password (``Password for 'https://user@host': ``, git's credential.c) is an argument, and names the user, which may
be a token; no other user has processes in that container.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

_PROGRAM = r"""
import os, re, sys
hosts = os.environ.get("GAZAMI_GIT_FOR", "").split()
user, password = (os.environ.get("GAZAMI_GIT_" + name, "") for name in ("USER", "PASSWORD"))
if sys.argv[1:] in (["get"], ["store"], ["erase"]):
    wanted = dict(line.rstrip("\n").partition("=")[::2] for line in sys.stdin if line.strip())
    if sys.argv[1] == "get" and wanted.get("protocol", "") + "://" + wanted.get("host", "") in hosts:
        print("username=" + user + "\npassword=" + password)
    sys.exit()
asked = re.fullmatch(r"(Username|Password) for '(https?://)(?:[^@/]*@)?([^@/']+)/?': ?", " ".join(sys.argv[1:]))
if not asked or asked[2] + asked[3] not in hosts:
    sys.exit("no credentials for this host")
print(user if asked[1] == "Username" else password)
"""
_SHELL = "/bin/sh"
_LONGEST = 120
"""Bytes of a first line that every kernel reads whole."""


def answers(remote: str, credentials: tuple[str, str]) -> dict[str, str]:
    """The variables that the program needs to answer for the remote's own scheme, host and port. A host named with http that
    redirects to its own https is the same one."""
    parts = urlsplit(remote)
    user, password = credentials
    host = parts.netloc.rpartition("@")[2]
    better = f" https://{host}" if parts.scheme == "http" and ":" not in host else ""
    return {"GAZAMI_GIT_FOR": f"{parts.scheme}://{host}{better}", "GAZAMI_GIT_USER": user, "GAZAMI_GIT_PASSWORD": password}


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
            yield _asked(f"/proc/self/fd/{fd}"), (fd,)
        finally:
            os.close(fd)
        return
    place = folder / "askpass"
    if not place.exists():
        part = place.with_suffix(".part")
        part.write_text(program)
        part.chmod(0o700)
        part.rename(place)
    yield _asked(str(place)), ()


def _asked(program: str) -> dict[str, str]:
    """git's settings for the program: as a helper, and, where there is no shell or git is older than 2.31, as the one to ask."""
    asked = {"GIT_ASKPASS": program}
    if not os.access(_SHELL, os.X_OK):
        return asked
    return asked | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "credential.helper",
        "GIT_CONFIG_VALUE_0": f"!{shlex.quote(program)}",
    }


def _interpreter(python: str) -> str:
    """The first lines of a script for an interpreter at any path; one with spaces is started by a shell, as pip does it."""
    if " " not in python and len(python.encode()) < _LONGEST:
        return f"#!{python} -ISB\n"
    return f"""#!/bin/sh\n'''exec' "{python}" -ISB "$0" "$@"\n' '''\n"""
