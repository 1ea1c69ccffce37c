"""Flags and variables about registries → the parts of the request that need more than a copy."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gazami.cli.flags.argv import Parsed
from gazami.cli.flags.values import Pairs
from gazami.errors import UsageError
from gazami.registry.mirrors import parse_mirror

PROVIDERS = ("env", "google", "ecr", "acr", "gitlab")
"""The built-in sources of credentials, in the order in which they are asked."""

KANIKO_CERTIFICATES = "/kaniko/ssl/certs"
"""Where users of kaniko's image mount their authorities."""

_HUB = "index.docker.io"
_PREFIXES = ("AWS_", "AZURE_", "GOOGLE_", "GCE_METADATA_", "IDENTITY_", "MSI_", "CI_REGISTRY", "CI_DEPENDENCY_PROXY_")
_CLOUDS = ("AWS_", "AZURE_", "GOOGLE_", "GCE_METADATA_", "IDENTITY_", "MSI_", "S3_")
_CONTEXTS = frozenset({
    "GIT_TOKEN", "GIT_USERNAME", "GIT_PASSWORD", "GIT_PULL_METHOD", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "STORAGE_EMULATOR_HOST",
})  # fmt: skip
_SECRET_FILES = (
    "GOOGLE_APPLICATION_CREDENTIALS", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AZURE_FEDERATED_TOKEN_FILE",
)  # fmt: skip
_IN_HOME = (".aws/credentials", ".config/gcloud", ".netrc", ".git-credentials", ".ssh")
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_NAMING = (
    "destination", "output", "cache-repo", "cache-from", "cache-to", "registry-mirror", "registry-map", "registry-certificate",
    "registry-client-cert", "insecure-registry", "skip-tls-verify-registry", "build-context", "context", "image",
)  # fmt: skip
"""Flags that name registries or what lies in them; build arguments do not count, since anybody's branch may set those."""

_OF_GITLAB = ("CI_REGISTRY", "CI_DEPENDENCY_PROXY_SERVER")
_NAMES = frozenset({"HOME", "CLOUDSDK_CONFIG", "NO_GCE_CHECK"})


def mirrors(parsed: Parsed) -> Pairs:
    """``(registry, mirror)`` in the order to try: those of ``--registry-map``, then ``--registry-mirror`` for Docker Hub.

    Raises :class:`UsageError` naming the flag.
    """
    maps = [("--registry-map", *pair) for pair in parsed.pairs("registry-map")]
    hub = [("--registry-mirror", _HUB, target) for target in parsed.texts("registry-mirror") if target]
    for flag, _, target in (*maps, *hub):
        try:
            parse_mirror(target)
        except UsageError as error:
            raise UsageError(f"{flag}: {error.message}", hint=error.hint) from None
    return tuple((registry, target) for _, registry, target in (*maps, *hub))


def named_hosts(parsed: Parsed, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The registries that the user names: in flags, as arguments, by the variables of GitLab."""
    texts = [*parsed.positionals, *(environ.get(name, "") for name in _OF_GITLAB)]
    for flag in _NAMING:
        texts += parsed.words.get(flag, ())
    found: dict[str, None] = {}
    for text in texts:
        for word in re.split(r"[=,;]", text):
            host = word.strip().rpartition("://")[2].partition("/")[0].rpartition("@")[2].lower()
            if host == "localhost" or "." in host.strip(".") or ":" in host:
                found[host] = None
    return tuple(found)


def credential_helpers(parsed: Parsed) -> tuple[str, ...]:
    """The built-in sources to ask: all, or those that the flag names; an empty value alone is none of them."""
    wanted = _helper_names(parsed)
    if "credential-helpers" not in parsed.given:
        return PROVIDERS
    return tuple(name for name in PROVIDERS if name in wanted)


def unknown_helpers(parsed: Parsed) -> list[str]:
    """What there is to warn about."""
    known = ", ".join(PROVIDERS)
    unknown = [name for name in _helper_names(parsed) if name not in PROVIDERS]
    return [f"--credential-helpers: there is no {name!r}, only {known}" for name in unknown]


def _helper_names(parsed: Parsed) -> list[str]:
    words = (name.strip() for text in parsed.texts("credential-helpers") for name in text.split(","))
    return [name for name in words if name]


def credential_variables(environ: Mapping[str, str]) -> Pairs:
    """The variables that the built-in sources read."""
    return tuple(
        (name, value)
        for name, value in environ.items()
        if name in _NAMES
        or name.startswith(_PREFIXES)
        or (name.startswith("KANIKO_") and name.endswith(("_USER", "_PASSWORD")))
    )


def context_variables(environ: Mapping[str, str]) -> Pairs:
    """The variables that say how contexts are fetched."""
    return tuple(
        (name, value) for name, value in environ.items() if name in _NAMES | _CONTEXTS or name.startswith(_CLOUDS)
    )


def secret_files(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where credentials besides docker's may lie, whether or not they do."""
    named = tuple(environ[name] for name in _SECRET_FILES if environ.get(name, "").startswith("/"))
    home = environ.get("HOME", "")
    return (*named, *(f"{home}/{name}" for name in _IN_HOME if home), _SERVICE_ACCOUNT)


def certificate_directories(environ: Mapping[str, str]) -> tuple[str, ...]:
    """``SSL_CERT_DIR``, a list as PATH is one; without it the place that kaniko's image has."""
    listed = tuple(each for each in environ.get("SSL_CERT_DIR", "").split(":") if each)
    return listed or (KANIKO_CERTIFICATES,)
