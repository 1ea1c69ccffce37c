"""The explicit table of context schemes: the text before ``://`` and the function that fetches such a context.

A context is a folder already, or becomes one (a repository), or is an archive whose bytes the builder unpacks.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from gazami.cancel import Cancel
from gazami.context.artifact import artifact_reference, open_artifact
from gazami.context.authorities import own_certificates, system_certificates
from gazami.context.download import stream
from gazami.context.git import checkout
from gazami.context.git_url import (
    GitSource,
    is_git,
    parse_git,
    parse_git_options,
    parse_kaniko_git,
    with_options,
    without_credentials,
)
from gazami.context.local import local_folder
from gazami.context.objects import StoredObject, blob, gcs, is_blob_url, s3
from gazami.errors import ContextError, RegistryError, UsageError
from gazami.registry.client import RegistryClient
from gazami.registry.providers.web import Web
from gazami.registry.routing import Trust
from gazami.registry.transport import Transport
from gazami.registry.wire import redact
from gazami.values import fast_dataclass, field, replace

_CHUNK = 1 << 20


@fast_dataclass(frozen=True, slots=True)
class Access:
    """What contexts are fetched with. ``environ`` holds the variables of clouds and of git; ``git`` the pairs of ``--git``."""

    transport: Transport
    registry: RegistryClient
    cancel: Cancel
    workspace: Path
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    git: tuple[tuple[str, str], ...] = ()
    proxies: tuple[tuple[str, str], ...] = ()
    authorities: tuple[str, ...] = ()
    """Directories of certificates."""
    keep_git_dir: bool = False
    """A repository that is the context keeps its ``.git``."""

    @property
    def web(self) -> Web:
        bundle = self.environ.get("AWS_CA_BUNDLE")
        return Web(self.transport, Trust(authorities=(bundle,)) if bundle else None)


@fast_dataclass(frozen=True, slots=True)
class Archive:
    """A tar stream in any known compression; ``name`` is for people and holds no secrets."""

    name: str
    chunks: Iterator[bytes]
    from_stdin: bool = False


Opened = Path | Archive


def open_context(context: str, access: Access) -> Opened:
    """A folder, or an archive that begins to be read when it is asked for. Raises :class:`ContextError`, :class:`UsageError`."""
    if context == "-":
        return _standard_input(access)
    scheme, separator, rest = context.partition("://")
    if is_git(context) and scheme != "git":
        return _repository(with_options(parse_git(context), parse_git_options(access.git)), access)
    if not separator:
        return local_folder(context)
    opener = SCHEMES.get(scheme)
    if opener is None:
        raise UsageError(
            f"unknown context scheme {scheme}:// in {redact(context)!r}",
            hint=f"use a path, {', '.join(each.usage for each in SCHEMES.values())}",
        )
    return opener.open(rest, access)


# -- what is here -----------------------------------------------------------------------------------------------------


def _directory(rest: str, access: Access) -> Opened:
    return local_folder(rest)


def _tar(rest: str, access: Access) -> Opened:
    if rest == "stdin":
        return _standard_input(access)
    path = Path(rest)
    if not path.is_file():
        raise ContextError(f"the archive {path} does not exist", hint="give an existing file with tar://FILE, or use tar://stdin")

    def chunks() -> Iterator[bytes]:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    return Archive(path.name, chunks())


def _standard_input(access: Access) -> Archive:
    if sys.stdin is None or sys.stdin.isatty():
        raise ContextError(
            "no data found: standard input is a terminal, not an archive",
            hint="pipe one in: tar -cz . | gazami build - …; with docker run and kubectl run add --interactive (-i)",
        )
    fd = sys.stdin.fileno()

    def chunks() -> Iterator[bytes]:
        while True:
            while not select.select([fd], [], [], 0.2)[0]:
                access.cancel.check()
            chunk = os.read(fd, _CHUNK)
            if not chunk:
                return
            yield chunk

    return Archive("standard input", chunks(), from_stdin=True)


# -- what is elsewhere ------------------------------------------------------------------------------------------------


def _kaniko_git(rest: str, access: Access) -> Opened:
    method = access.environ.get("GIT_PULL_METHOD", "")
    return _repository(parse_kaniko_git(rest, parse_git_options(access.git), method), access)


def _repository(source: GitSource, access: Access) -> Path:
    environ = git_environment(access, ("GIT_TOKEN", "GIT_USERNAME", "GIT_PASSWORD", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND"))
    source = replace(source, keep_git_dir=source.keep_git_dir or access.keep_git_dir)
    return checkout(source, access.workspace / "repository", environ, access.cancel)


def git_environment(access: Access, names: tuple[str, ...] = ()) -> dict[str, str]:
    """The environment of git: proxies, authorities, and the variables of ``names`` that are set. Credentials are for repositories
    that the user names, never for one that a Dockerfile names: its author may be another person."""
    environ = {name.lower(): value for name, value in access.proxies}
    environ |= {name: access.environ[name] for name in names if access.environ.get(name)}
    own = own_certificates(access.environ.get("SSL_CERT_FILE", ""), access.authorities)
    if own:
        bundle = access.workspace / "authorities.pem"
        bundle.write_bytes(own + system_certificates())
        environ["GIT_SSL_CAINFO"] = str(bundle)
    return environ


def _s3(rest: str, access: Access) -> Opened:
    return _stored(f"s3://{rest}", s3(rest, access.environ, access.web, _now), access)


def _gs(rest: str, access: Access) -> Opened:
    return _stored(f"gs://{rest}", gcs(rest, access.environ, access.web), access)


def _https(rest: str, access: Access) -> Opened:
    url = f"https://{rest}"
    if is_blob_url(url):
        return _stored(url, blob(url, access.environ, access.web, _now), access)
    return Archive(redact(url), stream(url, access.transport))


def _http(rest: str, access: Access) -> Opened:
    return Archive(redact(f"http://{rest}"), stream(f"http://{rest}", access.transport))


def _stored(name: str, found: StoredObject, access: Access) -> Archive:
    def chunks() -> Iterator[bytes]:
        try:
            yield from stream(found.url, access.transport, found.authorize)
        except RegistryError as error:
            if error.status in (301, 307, 400, 401, 403):
                error.hint = found.hint
            raise

    return Archive(redact(without_credentials(name)), chunks())


def _registry(rest: str, access: Access) -> Opened:
    """Pull as gazami pushed, like the layer cache: no mirror, and ``--insecure`` applies."""
    reference = artifact_reference(rest)
    return Archive(str(reference), open_artifact(reference, access.registry.for_cache()))


def _now() -> datetime:
    return datetime.now(UTC)


@fast_dataclass(frozen=True, slots=True)
class Scheme:
    """``usage`` is how the scheme is written, for the hint of an unknown one; ``open`` gets the text after ``://``."""

    usage: str
    open: Callable[[str, Access], Opened]


SCHEMES = {
    "dir": Scheme("dir://DIRECTORY", _directory),
    "tar": Scheme("tar://FILE, tar://stdin or -", _tar),
    "git": Scheme("git:// and other Git URLs", _kaniko_git),
    "s3": Scheme("s3://", _s3),
    "gs": Scheme("gs://", _gs),
    "https": Scheme("https:// (Azure Blob, archives)", _https),
    "http": Scheme("http:// (archives)", _http),
    "registry": Scheme("registry://", _registry),
}
