"""``gazami login``: a user and a password into docker's ``config.json``, or into the program that it names."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gazami.cli.command import Command, Execution, one_positional, task
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import BOOL, STRING
from gazami.cli.flags.option import Group, Option, Table
from gazami.cli.flags.options import LOGGING
from gazami.errors import HostError, UsageError
from gazami.foreign import read_json
from gazami.image.reference import DOCKER_HUB
from gazami.layer.output_file import write_output

_USAGE = """\
Store a user and a password for a registry, where docker, podman and gazami find them. The registry is not asked.

Usage:
  gazami login [REGISTRY] --username NAME --password-stdin [flags]

Without REGISTRY: Docker Hub. The file is $DOCKER_CONFIG/config.json, else ~/.docker/config.json. Where it names a
credential program (credsStore, credHelpers), that program gets the password.

Examples:
  echo "$CI_REGISTRY_PASSWORD" | gazami login -u "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"
"""

_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = frozenset({"", "docker.io", DOCKER_HUB, "registry-1.docker.io", _HUB_KEY})

USERNAME = Option("username", STRING, Group.REGISTRY, "The user.", metavar="NAME", shorthands="u")
PASSWORD = Option("password", STRING, Group.REGISTRY, "The password; visible in the list of processes, so better on standard "
                  "input.", metavar="TEXT", shorthands="p")  # fmt: skip
PASSWORD_STDIN = Option("password-stdin", BOOL, Group.REGISTRY, "Read the password from standard input.", "false")


def _login(flags: Flags, run: Execution) -> int:
    registry = one_positional(flags, "a registry") if flags.positionals else ""
    key = _HUB_KEY if registry in _HUB_NAMES else registry.removeprefix("https://").removeprefix("http://").rstrip("/")
    username, password = flags[USERNAME], _password(flags)
    if not username:
        raise UsageError("--username is needed")
    path = config_path(run.around.environ)
    document = _read(path)
    program = (document.get("credHelpers") or {}).get(key) or document.get("credsStore")
    if program:
        _store(f"docker-credential-{program}", key, username, password)
        where = f"docker-credential-{program}"
    else:
        auth = base64.b64encode(f"{username}:{password}".encode()).decode()
        document.setdefault("auths", {})[key] = {"auth": auth}
        _write(path, document)
        where = str(path)
    sys.stderr.write(f"Stored the credentials for {key} in {where}\n")
    return 0


def config_path(environ: Mapping[str, str]) -> Path:
    if environ.get("DOCKER_CONFIG"):
        return Path(environ["DOCKER_CONFIG"]) / "config.json"
    return Path(environ.get("HOME") or "/root") / ".docker/config.json"


def _password(flags: Flags) -> str:
    given = flags[PASSWORD]
    if given and flags[PASSWORD_STDIN]:
        raise UsageError("--password and --password-stdin exclude each other")
    if flags[PASSWORD_STDIN]:
        given = sys.stdin.readline().rstrip("\n").removesuffix("\r")
        if not given:
            raise UsageError("standard input holds no password")
    if not given:
        raise UsageError("a password is needed", hint='echo "$PASSWORD" | gazami login … --password-stdin')
    return given


def _read(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path.read_bytes())
        if not isinstance(document, dict):
            raise ValueError
        return document
    except FileNotFoundError:
        return {}
    except ValueError:
        raise UsageError(f"{path} is not a JSON object", hint="correct or remove the file") from None
    except OSError as cause:
        raise HostError(f"cannot read {path}: {cause.strerror}") from cause


def _write(path: Path, document: dict[str, Any]) -> None:
    """Replace the file as a whole; nobody else may read it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_output(path, json.dumps(document, indent="\t").encode(), 0o600)
    except OSError as cause:
        raise HostError(f"cannot write {path}: {cause.strerror}") from cause


def _store(program: str, server: str, username: str, secret: str) -> None:
    document = json.dumps({"ServerURL": server, "Username": username, "Secret": secret})
    try:
        done = subprocess.run([program, "store"], input=document, text=True, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise HostError(f"cannot run {program}: {type(cause).__name__}") from None
    if done.returncode:
        raise HostError(f"{program} failed with status {done.returncode}: {done.stdout.strip()[:300]}")


COMMAND = Command("login", _USAGE, Table((USERNAME, PASSWORD, PASSWORD_STDIN, *LOGGING)), task(_login))
