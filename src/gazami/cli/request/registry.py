"""How registries are reached: schemes, certificates, mirrors, proxies, patience. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gazami import __version__
from gazami.cli.environ import Surroundings
from gazami.cli.flags import options
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import Pairs
from gazami.cli.paths import absolute, absolutes
from gazami.errors import UsageError
from gazami.registry.mirrors import parse_mirror
from gazami.registry.options import RegistryOptions, TrustOptions
from gazami.registry.retry import RetryPolicy
from gazami.values import replace

_HUB = "index.docker.io"


def registry_options(flags: Flags, around: Surroundings) -> RegistryOptions:
    """Raises :class:`UsageError` for a mirror or a client certificate that is malformed."""
    client = around.environ.get("UPSTREAM_CLIENT_TYPE")
    return RegistryOptions(
        trust=_trust(flags, around),
        mirrors=_mirrors(flags),
        fallback=not flags[options.SKIP_DEFAULT_REGISTRY_FALLBACK],
        ignore_immutable_tags=flags[options.PUSH_IGNORE_IMMUTABLE_TAG_ERRORS],
        proxies=proxies(around.environ),
        user_agent=f"gazami/{__version__}" + (f",{client}" if client else ""),
        retry=_retry(flags),
    )


def _trust(flags: Flags, around: Surroundings) -> TrustOptions:
    return TrustOptions(
        insecure=flags[options.INSECURE],
        insecure_pull=flags[options.INSECURE_PULL],
        insecure_registries=flags[options.INSECURE_REGISTRY],
        skip_tls_verify=flags[options.SKIP_TLS_VERIFY],
        skip_tls_verify_pull=flags[options.SKIP_TLS_VERIFY_PULL],
        skip_tls_verify_registries=flags[options.SKIP_TLS_VERIFY_REGISTRY],
        certificates=tuple((host, absolute(path, around.cwd)) for host, path in flags[options.REGISTRY_CERTIFICATE]),
        client_certificates=tuple(
            _client_certificate(host, files, around.cwd) for host, files in flags[options.REGISTRY_CLIENT_CERT]
        ),
        certificate_directories=absolutes(certificate_directories(around.environ), around.cwd),
    )


def _retry(flags: Flags) -> RetryPolicy:
    """A retry that a flag asks for is one more attempt at each request, which is where failures can be mended."""
    usual = RetryPolicy()
    retries = max(flags[options.PUSH_RETRY], flags[options.IMAGE_DOWNLOAD_RETRY], flags[options.IMAGE_FS_EXTRACT_RETRY])
    return replace(usual, attempts=max(usual.attempts, retries + 1))


def _mirrors(flags: Flags) -> Pairs:
    """``(registry, mirror)`` in the order to try: those of ``--registry-map``, then ``--registry-mirror`` for Docker Hub.

    Raises :class:`UsageError` naming the flag.
    """
    maps = [("--registry-map", *pair) for pair in flags[options.REGISTRY_MAP]]
    hub = [("--registry-mirror", _HUB, target) for target in flags[options.REGISTRY_MIRROR] if target]
    for flag, _, target in (*maps, *hub):
        try:
            parse_mirror(target)
        except UsageError as error:
            raise UsageError(f"{flag}: {error.message}", hint=error.hint) from None
    return tuple((registry, target) for _, registry, target in (*maps, *hub))


def _client_certificate(host: str, files: str, cwd: str) -> tuple[str, str, str]:
    certificate, comma, key = files.partition(",")
    if not certificate or not comma or not key or "," in key:
        raise UsageError(f"invalid value {files!r} for --registry-client-cert", hint="write HOST=/path/cert.pem,/path/key.pem")
    return host, absolute(certificate, cwd), absolute(key, cwd)


def proxies(environ: Mapping[str, str]) -> Pairs:
    """The proxy variables by upper-case name; where both spellings are set, the upper-case one counts, as in Go."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    found = ((name, environ.get(name) or environ.get(name.lower())) for name in names)
    return tuple((name, value) for name, value in found if value)


def certificate_directories(environ: Mapping[str, str]) -> tuple[str, ...]:
    """``SSL_CERT_DIR``, a list as PATH is one; without it the directory where users of kaniko's image mount theirs."""
    listed = tuple(each for each in environ.get("SSL_CERT_DIR", "").split(":") if each)
    return listed or ("/kaniko/ssl/certs",)
