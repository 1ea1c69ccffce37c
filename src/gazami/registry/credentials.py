"""Who we are at a registry: docker's ``config.json`` (containers-auth.json(5) paths included) and given passwords.

Entries are looked up from the most specific name to the least: ``registry/repo/path``, ``registry/repo``,
``registry``. At each name a credential program that the file has for it goes before a password in the file.
Secrets appear in no repr, message or event.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from gazami.errors import HostError, UsageError
from gazami.foreign import ForeignJSONError, read_json
from gazami.image.reference import DOCKER_HUB
from gazami.registry.credential_program import CredentialProgram
from gazami.registry.wire import is_token
from gazami.values import fast_dataclass, field

HUB_KEY = "https://index.docker.io/v1/"
"""What docker calls Docker Hub in its config and to credential programs."""

_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


@fast_dataclass(frozen=True, slots=True)
class Credential:
    """``identity_token`` is exchanged at the token server; ``registry_token`` is sent to the registry as it is."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.username or self.password or self.identity_token or self.registry_token)


@fast_dataclass(frozen=True, slots=True)
class Lookup:
    """``asked`` says in words for people which sources were asked and what each had.

    ``until`` is the time on the monotonic clock, in seconds, from when on to look again; None is never.
    """

    credential: Credential | None = None
    asked: tuple[str, ...] = ()
    until: float | None = None


class CredentialSource(Protocol):
    def lookup(self, registry: str, repository: str) -> Lookup: ...


class Keychain:
    """Asks its sources in order until one has a credential."""

    def __init__(self, sources: Iterable[CredentialSource] = ()) -> None:
        self._sources = tuple(sources)

    def lookup(self, registry: str, repository: str) -> Lookup:
        """Raises :class:`HostError` when a credential program that the registry needs is missing or fails, and no later source has
        the credential."""
        asked: list[str] = []
        ends: list[float] = []
        broken: HostError | None = None
        for source in self._sources:
            try:
                found = source.lookup(registry, repository)
            except HostError as error:
                broken = broken or error
                asked.append(error.message)
                continue
            asked.extend(found.asked)
            if found.until is not None:
                ends.append(found.until)
            if found.credential:
                return Lookup(found.credential, tuple(asked), found.until)
        if broken is not None:
            raise broken
        return Lookup(None, tuple(asked), min(ends, default=None))


@fast_dataclass(frozen=True, slots=True)
class GivenCredentials:
    """User names and passwords by registry, from the source that ``place`` names (environment variables, a flag)."""

    place: str
    entries: tuple[tuple[str, Credential], ...]

    def lookup(self, registry: str, repository: str) -> Lookup:
        found = next((credential for key, credential in self.entries if _name_of(key) == registry), None)
        return Lookup(found, (f"{self.place}: {_used(found)}",))


class DockerConfig:
    """The parts of a docker ``config.json`` that say who we are."""

    def __init__(self, place: str, auths: Mapping[str, Credential], helpers: Mapping[str, str], store: str) -> None:
        """``auths`` and ``helpers`` are keyed by normalised names, ``registry`` or ``registry/repository/path``."""
        self._place = place
        self._auths = auths
        self._helpers = {name: CredentialProgram(program) for name, program in helpers.items()}
        self._store = CredentialProgram(store) if store else None

    @property
    def hosts(self) -> frozenset[str]:
        """The registries that the file speaks of."""
        return frozenset(name.partition("/")[0] for name in (*self._auths, *self._helpers))

    def lookup(self, registry: str, repository: str) -> Lookup:
        asked: list[str] = []
        broken: HostError | None = None
        for name in _names(registry, repository):
            program = self._helpers.get(name) or (self._store if name == registry else None)
            if program is not None:
                try:
                    answer = program.get(HUB_KEY if name == DOCKER_HUB else name)
                except HostError as error:
                    broken, answer = error, None
                    asked.append(f"{program.name} for {name}: failed")
                else:
                    none = "is not installed, using gazami's own" if program.replaced else "has none"
                    asked.append(f"{program.name} for {name}: {'used' if answer else none}")
                if answer:
                    return Lookup(_from_program(*answer), tuple(asked))
            if entry := self._auths.get(name):
                asked.append(f"{self._place}, entry {name}: {_used(entry)}")
                return Lookup(entry, tuple(asked))
        if broken is not None:
            raise broken
        return Lookup(None, (*asked, f"{self._place}: no entry for {registry}"))


def parse_docker_config(text: str, place: str) -> DockerConfig:
    """Read a ``config.json``. Raises :class:`UsageError`, naming ``place`` and the entry, when it is malformed."""
    try:
        document = read_json(text)
    except ForeignJSONError as cause:
        raise UsageError(
            f"{place} is not valid JSON: {cause}",
            hint='docker login writes this file; a file made by hand holds {"auths": {"registry": {"auth": …}}}',
        ) from None
    if not isinstance(document, dict):
        raise UsageError(f"{place} is not a JSON object")
    auths: dict[str, Credential] = {}
    exact: set[str] = set()
    for key, value in _object(document, "auths", place).items():
        name, entry = _name_of(key), _entry(key, value, place)
        if entry and (name not in auths or (_is_exact(key) and name not in exact)):
            auths[name] = entry
            if _is_exact(key):
                exact.add(name)
    helpers = {_name_of(key): _program(str(value), place) for key, value in _object(document, "credHelpers", place).items()}
    store = document.get("credsStore") or ""
    return DockerConfig(place, auths, helpers, _program(str(store), place) if store else "")


def _names(registry: str, repository: str) -> list[str]:
    parts = repository.split("/") if repository else []
    return ["/".join((registry, *parts[:count])) for count in range(len(parts), -1, -1)]


def _name_of(key: str) -> str:
    """A config key as ``registry[/path]``: no scheme, no API version, one name for Docker Hub."""
    bare = key.strip()
    has_scheme = "://" in bare
    host, _, path = bare.partition("://")[2].partition("/") if has_scheme else bare.partition("/")
    path = path.rstrip("/")
    if has_scheme or path in ("v1", "v2"):
        path = ""
    if host in _HUB_NAMES:
        host = DOCKER_HUB
    return f"{host}/{path}" if path else host


def _is_exact(key: str) -> bool:
    return key == HUB_KEY or ("://" not in key and key not in _HUB_NAMES)


def _object(document: dict[str, Any], name: str, place: str) -> dict[str, Any]:
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"{place}: {name!r} is not a JSON object")
    return value


def _entry(key: str, value: Any, place: str) -> Credential:
    if not isinstance(value, dict):
        raise UsageError(f"{place}: the entry {key!r} is not a JSON object")
    username, password = str(value.get("username") or ""), str(value.get("password") or "")
    if encoded := value.get("auth"):
        import base64
        import binascii

        try:
            decoded = base64.b64decode(re.sub(r"[\r\n]", "", str(encoded)).strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            decoded = ""
        username, colon, password = decoded.partition(":")
        password = password.rstrip("\0")
        if not colon:
            raise UsageError(
                f"{place}: 'auth' of the entry {key!r} is not the base64 form of user:password",
                hint=f"make it with: printf '%s' 'user:password' | base64, or log in to {key} again",
            )
    registry_token = str(value.get("registrytoken") or "")
    if registry_token and not is_token(registry_token):
        raise UsageError(f"{place}: 'registrytoken' of the entry {key!r} is not a token: it has characters outside of ASCII")
    return Credential(username, password, str(value.get("identitytoken") or ""), registry_token)


def _program(name: str, place: str) -> str:
    if not _PROGRAM.match(name):
        raise UsageError(f"{place}: {name!r} is not the name of a credential helper")
    return name


def _from_program(username: str, secret: str) -> Credential:
    """``<token>`` as a user name means that the secret is an identity token (docker credential helpers)."""
    if username == "<token>":
        return Credential(identity_token=secret)
    return Credential(username, secret)


def _used(credential: Credential | None) -> str:
    if not credential:
        return "has none"
    return f"used, user {credential.username}" if credential.username not in ("", "<token>") else "used"
