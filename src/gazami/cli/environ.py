"""What the process finds around it, read once and handed on as a value: the only I/O of the command line.

Credentials are looked for where docker, podman and kaniko look: ``DOCKER_CONFIG``, ``~/.docker``, ``/kaniko/.docker``,
``REGISTRY_AUTH_FILE`` and the ``containers/auth.json`` files. ``DOCKER_AUTH_CONFIG`` holds JSON of its own, which wins
over the file host by host.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gazami.cli.container import container_runtime
from gazami.errors import HostError, UsageError
from gazami.foreign import read_json
from gazami.values import fast_dataclass, field

_KANIKO_CONFIG = "/kaniko/.docker/config.json"
"""Where users of kaniko's image mount their credentials."""


@fast_dataclass(frozen=True, slots=True)
class Surroundings:
    """``home`` is empty where there is none that can be written to; ``machine`` is uname's word for the processor."""

    environ: Mapping[str, str] = field(repr=False)
    cwd: str
    machine: str
    uid: int
    home: str = ""
    docker_config: str | None = field(default=None, repr=False)
    docker_config_place: str | None = None
    in_container: bool = False
    warnings: tuple[str, ...] = ()


def without_credentials(environ: Mapping[str, str]) -> Surroundings:
    """What commands need that talk to no registry and run nothing."""
    return Surroundings(environ, working_directory(), os.uname().machine, os.getuid())


def look_around(environ: Mapping[str, str]) -> Surroundings:
    """Raises :class:`HostError` when a credentials file exists but cannot be read."""
    text, place = _docker_config(environ)
    warnings: tuple[str, ...] = ()
    if own := environ.get("DOCKER_AUTH_CONFIG"):
        if merged := merge_auth(own, text):
            text, place = merged, f"DOCKER_AUTH_CONFIG and {place}" if place else "DOCKER_AUTH_CONFIG"
        else:
            warnings = ('DOCKER_AUTH_CONFIG is ignored: it is not JSON of the form {"auths": {HOST: {"auth": …}}}',)
    home = environ.get("HOME", "")
    return Surroundings(
        environ=environ,
        cwd=working_directory(),
        machine=os.uname().machine,
        uid=os.getuid(),
        home=home if home.startswith("/") and home != "/" and os.access(home, os.W_OK | os.X_OK) else "",
        docker_config=text,
        docker_config_place=place,
        in_container=container_runtime(environ) is not None,
        warnings=warnings,
    )


def require_secret_files(secrets: tuple[tuple[str, str, str], ...]) -> None:
    """Raises :class:`UsageError` for a secret whose file cannot be read, before any work is done for it."""
    for name, kind, place in secrets:
        if kind == "file" and not (Path(place).is_file() and os.access(place, os.R_OK)):
            hint = f"write --secret id={name},src=PATH, or --secret id={name},env=NAME"
            raise UsageError(f"--secret: cannot read the file {place!r} of the secret {name!r}", hint=hint)


def working_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "/"


def config_places(environ: Mapping[str, str]) -> list[str]:
    """Files that may hold credentials, each once, the first that exists counts."""
    home = environ.get("HOME", "")
    settings = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    places = [
        *([f"{environ['DOCKER_CONFIG']}/config.json"] if environ.get("DOCKER_CONFIG") else []),
        *([f"{home}/.docker/config.json"] if home else []),
        _KANIKO_CONFIG,
        *([environ["REGISTRY_AUTH_FILE"]] if environ.get("REGISTRY_AUTH_FILE") else []),
        *([f"{runtime}/containers/auth.json"] if runtime else []),
        *([f"{settings}/containers/auth.json"] if settings else []),
    ]
    return list(dict.fromkeys(str(Path(place)) for place in places))


def _docker_config(environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    for place in config_places(environ):
        try:
            return Path(place).read_text(encoding="utf-8"), str(Path(place))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            hint = "make it readable for this user, or point DOCKER_CONFIG to the directory of another config.json"
            raise HostError(f"cannot read the registry credentials in {place}: {reason}", hint=hint) from error
    return None, None


def merge_auth(own: str, file: str | None) -> str | None:
    """``DOCKER_AUTH_CONFIG`` laid over the text of a config.json; None when the variable is not usable.

    A helper that the file names for a host of the variable would be asked first, so it is switched off for that host
    (an empty helper means the ``auths`` of the file). Helpers of the variable win over both. A file that is not JSON is left out.
    """
    said = _object(own)
    auths, helpers, store = said.get("auths", {}), said.get("credHelpers", {}), said.get("credsStore", "")
    if not (isinstance(auths, dict) and all(isinstance(entry, dict) for entry in auths.values())):
        return None
    if not (isinstance(helpers, dict) and isinstance(store, str) and said.keys() & {"auths", "credHelpers", "credsStore"}):
        return None
    config = _object(file or "")
    config["auths"] = {**_object_in(config, "auths"), **auths}
    before = _object_in(config, "credHelpers")
    if store:
        config["credsStore"] = store
    if helpers or before or (config.get("credsStore") and not store):
        config["credHelpers"] = {**before, **({} if store else dict.fromkeys(auths, "")), **helpers}
    return json.dumps(config)


def _object(text: str) -> dict[str, Any]:
    try:
        value = read_json(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _object_in(config: dict[str, Any], key: str) -> dict[str, Any]:
    value = config.get(key)
    return value if isinstance(value, dict) else {}
