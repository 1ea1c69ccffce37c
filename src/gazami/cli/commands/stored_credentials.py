"""docker's ``config.json`` and the credential programs that it names, as ``login`` and ``logout`` change them."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gazami.errors import HostError, UsageError
from gazami.foreign import read_json
from gazami.image.reference import DOCKER_HUB
from gazami.layer.output_file import write_output

HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = frozenset({"", "docker.io", DOCKER_HUB, "registry-1.docker.io", HUB_KEY})


def key_of(registry: str) -> str:
    """How the file names a registry."""
    return HUB_KEY if registry in _HUB_NAMES else registry.removeprefix("https://").removeprefix("http://").rstrip("/")


def host_of(key: str) -> str:
    """The registry of a key as references name it; a key may have a path."""
    return DOCKER_HUB if key == HUB_KEY else key.partition("/")[0]


def config_path(environ: Mapping[str, str]) -> Path:
    if environ.get("DOCKER_CONFIG"):
        return Path(environ["DOCKER_CONFIG"]) / "config.json"
    return Path(environ.get("HOME") or "/root") / ".docker/config.json"


def store(path: Path, key: str, username: str, password: str) -> str:
    """Keep a credential; where it is now. Raises :class:`HostError`, and :class:`UsageError` for a file that is not JSON."""
    document = _read(path)
    if program := _program(document, key):
        _call(program, "store", json.dumps({"ServerURL": key, "Username": username, "Secret": password}))
        return program
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    document.setdefault("auths", {})[key] = {"auth": auth}
    _write(path, document)
    return str(path)


def erase(path: Path, key: str) -> str | None:
    """Forget a credential; where it was, None where there was none. Raises as :func:`store` does."""
    document = _read(path)
    if program := _program(document, key):
        _call(program, "erase", key)
        return program
    if key not in (document.get("auths") or {}):
        return None
    del document["auths"][key]
    _write(path, document)
    return str(path)


def _program(document: dict[str, Any], key: str) -> str | None:
    name = (document.get("credHelpers") or {}).get(key) or document.get("credsStore")
    return f"docker-credential-{name}" if name else None


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


def _call(program: str, action: str, text: str) -> None:
    try:
        done = subprocess.run([program, action], input=text, text=True, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise HostError(f"cannot run {program}: {type(cause).__name__}") from None
    if done.returncode:
        raise HostError(f"{program} failed with status {done.returncode}: {done.stdout.strip()[:300]}")
