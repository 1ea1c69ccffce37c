"""A build of this machine in the words of an executor elsewhere: its flags, and the files that have to go with them. Pure but
for reading those files.

What names something of this machine (a Dockerfile beside the context, secrets, certificates) travels as a file; what would be
written on this machine is written here from the result; what cannot be done through a Job is refused and not forgotten.
"""

from __future__ import annotations

import re
from pathlib import Path

from gazami.builder.request import BuildRequest
from gazami.cli.flags import options
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import Pairs
from gazami.cli.flags.option import Option
from gazami.cli.request.cache import read_cache_from, read_cache_to
from gazami.context.git_url import is_git, without_credentials
from gazami.errors import UsageError
from gazami.kubernetes.job import INPUT
from gazami.registry.wire import redact
from gazami.values import fast_dataclass, field

SENT_DOCKERFILE = "Dockerfile"
"""The name that a Dockerfile has which is sent beside the context."""

_LOCAL_OUTPUT = "a Job's files stay in the cluster; push the image and fetch it: gazami pull REF out.tar"
_REFUSED: dict[Option[object], str] = {
    options.TAR_PATH: _LOCAL_OUTPUT,
    options.OCI_LAYOUT_PATH: _LOCAL_OUTPUT,
    options.OUTPUT: _LOCAL_OUTPUT,
    options.REPORT: "a Job's files stay in the cluster; --log-format=json has the same facts",
    options.ON_FAILURE: _LOCAL_OUTPUT.partition(";")[0],
    options.SSH: "an agent of this machine cannot be reached from the cluster; use a secret",
    options.DRYRUN: "gazami build --dryrun says here what would be done",
    options.CHECK: "gazami build --check looks at the Dockerfile here",
    options.CALL: "gazami build --call looks at the Dockerfile here",
    options.INDEX: "--platform with several platforms makes an index",
    options.INDEX_RUN: "--platform with several platforms makes an index",
}
"""Flags of a build that mean nothing through a Job, and what to do instead."""

_HERE: frozenset[Option[object]] = frozenset({
    options.CONTEXT, options.CONTEXT_SUB_PATH, options.BUCKET, options.DOCKERFILE, options.BUILD_ARG, options.SECRET,
    options.CUSTOM_PLATFORM, options.STATE_DIR, options.REGISTRY_CERTIFICATE, options.REGISTRY_CLIENT_CERT,
    options.DIGEST_FILE, options.IMAGE_NAME_WITH_DIGEST_FILE, options.IMAGE_NAME_TAG_WITH_DIGEST_FILE, options.IIDFILE,
    options.METADATA_FILE, *options.LOGGING,
})  # fmt: skip
"""Flags that are carried out on this machine, or that are written anew because they name something of it."""


_SIGNED = re.compile(r"[?&](sig|[^=&#]*(signature|token|password|secret)[^=&#]*)=", re.IGNORECASE)
"""A query that proves who asks."""


@fast_dataclass(frozen=True, slots=True)
class Sent:
    """Arguments, and the files by name that they speak of."""

    arguments: tuple[str, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict, repr=False)

    def __add__(self, other: Sent) -> Sent:
        return Sent((*self.arguments, *other.arguments), {**self.files, **other.files})


def check_possible(flags: Flags) -> None:
    """Raises :class:`UsageError` for what a Job cannot do."""
    for option, instead in _REFUSED.items():
        if flags.given(option) and flags[option]:
            raise UsageError(f"--{option.name} cannot be used with gazami submit", hint=instead)
    target = read_cache_to(flags[options.CACHE_TO])
    for place in (*flags[options.CACHE_REPO], *read_cache_from(flags[options.CACHE_FROM]), target.place if target else ""):
        if place.startswith("oci:"):
            raise UsageError(f"the cache {place} is a directory of this machine", hint="name a repository: --cache-repo")
    for name, value in flags[options.BUILD_CONTEXT]:
        check_no_credentials(f"--build-context {name}", value)
        if not (value.startswith(("docker-image://", "http://", "https://")) or is_git(value)):
            raise UsageError(
                f"--build-context {name}={value}: a further context of this machine does not get into the cluster",
                hint="an image (docker-image://), a Git repository or an archive's URL does",
            )


def check_no_credentials(flag: str, url: str) -> None:
    """Raises :class:`UsageError` for a URL with a password or a signature: who may see Jobs would read it there."""
    bare = url.startswith("ssh://") or without_credentials(url) == url
    if "://" in url and not (bare and not _SIGNED.search(url)):
        raise UsageError(
            f"{flag}: {redact(url)} has credentials in it, which a Job would show to everybody who may look at it",
            hint="put them into a Secret of the cluster as variables (GIT_TOKEN, AZURE_STORAGE_SAS_TOKEN): --env-from-secret NAME",
        )


def sent(flags: Flags, request: BuildRequest) -> Sent:
    """The flags as they were written, then those that had to be written anew. Raises :class:`UsageError`."""
    plain = tuple(
        f"--{option.name}={word}"
        for option in options.BUILD
        if not option.unused and option not in _HERE and option not in _REFUSED
        for word in flags.words(option)
    )
    arguments = tuple(f"--build-arg={name}={value}" for name, value in request.plan.build_args)
    return (
        Sent((*plain, *arguments))
        + _secrets(request.sandbox.secrets)
        + _certificates(request.registry.trust.certificates)
        + (_client_certificates(request.registry.trust.client_certificates))
    )


def sent_dockerfile(text: str, ignore_file: bytes | None) -> Sent:
    """A Dockerfile that is not the context's own, with the text of the ignore file beside it if there is one."""
    files = {SENT_DOCKERFILE: text.encode("utf-8", "surrogateescape")}
    if ignore_file is not None:
        files[f"{SENT_DOCKERFILE}.dockerignore"] = ignore_file
    return Sent((f"--dockerfile={INPUT}/{SENT_DOCKERFILE}",), files)


def _secrets(secrets: tuple[tuple[str, str, str], ...]) -> Sent:
    found = Sent()
    for number, (name, kind, value) in enumerate(secrets):
        file = f"secret-{number}"
        data = value.encode("utf-8", "surrogateescape") if kind == "env" else _read(Path(value), "--secret")
        found += Sent((f"--secret=id={name},src={INPUT}/{file}",), {file: data})
    return found


def _certificates(pairs: Pairs) -> Sent:
    found = Sent()
    for number, (host, path) in enumerate(pairs):
        file = f"authority-{number}.pem"
        data = _read(Path(path), "--registry-certificate")
        found += Sent((f"--registry-certificate={host}={INPUT}/{file}",), {file: data})
    return found


def _client_certificates(wanted: tuple[tuple[str, str, str], ...]) -> Sent:
    found = Sent()
    for number, (host, certificate, key) in enumerate(wanted):
        names = (f"client-{number}.crt", f"client-{number}.key")
        files = {name: _read(Path(path), "--registry-client-cert") for name, path in zip(names, (certificate, key), strict=True)}
        found += Sent((f"--registry-client-cert={host}={INPUT}/{names[0]},{INPUT}/{names[1]}",), files)
    return found


def _read(path: Path, flag: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise UsageError(f"{flag}: cannot read {path}: {cause.strerror}") from cause
