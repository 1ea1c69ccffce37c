"""Where credentials for registries come from: docker's config, built-in sources with their variables, and which files hold some.
Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gazami.builder.request import CredentialOptions
from gazami.cli.environ import Surroundings, config_places
from gazami.cli.flags import options
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import Pairs
from gazami.cli.paths import absolutes
from gazami.cli.request.context import CLOUDS, HOMES

PROVIDERS = ("env", "google", "ecr", "acr", "gitlab")
"""The built-in sources of credentials, in the order in which they are asked."""

_VARIABLES = (*CLOUDS, "CI_REGISTRY", "CI_DEPENDENCY_PROXY_")
_SECRET_FILES = (
    "GOOGLE_APPLICATION_CREDENTIALS",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_FEDERATED_TOKEN_FILE",
)
_IN_HOME = (".aws/credentials", ".config/gcloud", ".netrc", ".git-credentials", ".ssh")
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_NAMING = (
    options.DESTINATION, options.OUTPUT, options.CACHE_REPO, options.CACHE_FROM, options.CACHE_TO, options.REGISTRY_MIRROR,
    options.REGISTRY_MAP, options.REGISTRY_CERTIFICATE, options.REGISTRY_CLIENT_CERT, options.INSECURE_REGISTRY,
    options.SKIP_TLS_VERIFY_REGISTRY, options.BUILD_CONTEXT, options.CONTEXT,
)  # fmt: skip
"""Flags that name registries or what lies in them; build arguments do not count, since anybody's branch may set those."""

_OF_GITLAB = ("CI_REGISTRY", "CI_DEPENDENCY_PROXY_SERVER")


def credential_options(flags: Flags, around: Surroundings, *named: str) -> CredentialOptions:
    """``named`` are further texts of the command line that name registries."""
    return CredentialOptions(
        helpers=_helpers(flags),
        environment=credential_variables(around.environ),
        named_hosts=named_hosts(flags, around.environ, *named),
        docker_config=around.docker_config,
        docker_config_place=around.docker_config_place,
        docker_config_files=absolutes(config_places(around.environ), around.cwd),
        secret_files=absolutes(_secret_files(around.environ), around.cwd),
    )


def named_hosts(flags: Flags, environ: Mapping[str, str], *named: str) -> tuple[str, ...]:
    """The registries that the user names: in flags, as arguments, by the variables of GitLab."""
    texts = [*named, *flags.positionals, *(environ.get(name, "") for name in _OF_GITLAB)]
    for option in _NAMING:
        texts += flags.words(option)
    found: dict[str, None] = {}
    for text in texts:
        for word in re.split(r"[=,;]", text):
            host = word.strip().rpartition("://")[2].partition("/")[0].rpartition("@")[2].lower()
            if host == "localhost" or "." in host.strip(".") or ":" in host:
                found[host] = None
    return tuple(found)


def _helpers(flags: Flags) -> tuple[str, ...]:
    """The built-in sources to ask: all, or those that the flag names; an empty value alone is none of them."""
    wanted = _helper_names(flags)
    if not flags.given(options.CREDENTIAL_HELPERS):
        return PROVIDERS
    return tuple(name for name in PROVIDERS if name in wanted)


def unknown_helpers(flags: Flags) -> list[str]:
    """What there is to warn about."""
    known = ", ".join(PROVIDERS)
    unknown = [name for name in _helper_names(flags) if name not in PROVIDERS]
    return [f"--credential-helpers: unknown helper {name!r} (known: {known})" for name in unknown]


def _helper_names(flags: Flags) -> list[str]:
    words = (name.strip() for text in flags[options.CREDENTIAL_HELPERS] for name in text.split(","))
    return [name for name in words if name]


def credential_variables(environ: Mapping[str, str]) -> Pairs:
    """The variables that the built-in sources read."""
    return tuple(
        (name, value)
        for name, value in environ.items()
        if name in HOMES or name.startswith(_VARIABLES) or (name.startswith("KANIKO_") and name.endswith(("_USER", "_PASSWORD")))
    )


def _secret_files(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where credentials besides docker's may lie, whether or not they do."""
    named = tuple(environ[name] for name in _SECRET_FILES if environ.get(name, "").startswith("/"))
    home = environ.get("HOME", "")
    return (*named, *(f"{home}/{name}" for name in _IN_HOME if home), _SERVICE_ACCOUNT)
