"""Certificates of authorities that programs and libraries besides our own transport have to trust, as one PEM text."""

from __future__ import annotations

import ssl
from pathlib import Path

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_MOST = 8 << 20
"""Bytes read of a file; bundles of the world's authorities have about 200 kB."""


def own_certificates(file: str, directories: tuple[str, ...]) -> bytes:
    """The certificates of ``SSL_CERT_FILE`` and of every PEM file in ``directories``; empty where there are none.

    What cannot be read or is no PEM file is left out: our own transport says so for its part.
    """
    places = [Path(file)] if file else []
    for directory in directories:
        try:
            places += sorted(each for each in Path(directory).iterdir() if each.is_file())
        except OSError:
            continue
    return b"".join(_certificates(place) for place in places)


def system_certificates() -> bytes:
    """The bundle that OpenSSL is built to use, and Debian's path of it."""
    for place in (ssl.get_default_verify_paths().openssl_cafile, "/etc/ssl/certs/ca-certificates.crt"):
        if found := _certificates(Path(place)):
            return found
    return b""


def _certificates(place: Path) -> bytes:
    try:
        with place.open("rb") as opened:
            data = opened.read(_MOST)
    except OSError:
        return b""
    return data.rstrip(b"\n") + b"\n" if _BEGIN in data else b""
