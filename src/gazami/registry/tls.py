"""TLS contexts: the system's authorities, more of them for one registry, a client certificate, or no verification."""

from __future__ import annotations

import contextlib
import os
import re
import ssl

from gazami.errors import UsageError
from gazami.registry.routing import Trust

_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+\Z")


def tls_context(trust: Trust, directories: tuple[str, ...] = ()) -> ssl.SSLContext:
    """``directories`` hold further certificates of authorities.

    Raises :class:`UsageError` naming the certificate file that is missing or not a PEM file.
    """
    context = ssl.create_default_context()
    for directory in directories if trust.verify else ():
        _load_directory(context, directory)
    if not trust.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for path in trust.authorities:
        try:
            context.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError) as cause:
            raise UsageError(f"cannot use the registry certificate {path}: {_reason(cause)}") from None
    if trust.client is not None:
        certificate, key = trust.client
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as cause:
            raise UsageError(f"cannot use the client certificate {certificate} with key {key}: {_reason(cause)}") from None
    return context


def _load_directory(context: ssl.SSLContext, directory: str) -> None:
    """Trust every PEM file there, as Go's programs do. OpenSSL itself finds files by the hash in their names (c_rehash), and
    reads those only when it meets their authority; the others are read now."""
    context.load_verify_locations(capath=directory)
    try:
        entries = sorted(os.scandir(directory), key=lambda each: each.name)
    except OSError:
        return
    hashed = {os.path.realpath(each.path) for each in entries if _HASHED.match(each.name)}
    for entry in entries:
        if not _HASHED.match(entry.name) and os.path.realpath(entry.path) not in hashed and entry.is_file():
            with contextlib.suppress(OSError, ssl.SSLError):
                context.load_verify_locations(cafile=entry.path)


def _reason(cause: OSError) -> str:
    return cause.reason if isinstance(cause, ssl.SSLError) and cause.reason else cause.strerror or str(cause)
