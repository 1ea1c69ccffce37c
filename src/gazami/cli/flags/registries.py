"""The flags of commands that talk to registries, each with those that mean something to it.

All flags about registries are taken by all of them, so that a script can give the same ones to each; help lists what applies.
"""

from __future__ import annotations

from gazami.cli.flags import options
from gazami.cli.flags.option import Option, Table
from gazami.values import replace

_BOTH = (
    options.INSECURE_REGISTRY, options.SKIP_TLS_VERIFY_REGISTRY, options.REGISTRY_CERTIFICATE, options.REGISTRY_CLIENT_CERT,
    options.CREDENTIAL_HELPERS,
)  # fmt: skip
_MIRRORS = (options.REGISTRY_MAP, options.REGISTRY_MIRROR, options.SKIP_DEFAULT_REGISTRY_FALLBACK)

READING: tuple[Option[object], ...] = (
    replace(options.INSECURE_PULL, aliases=("insecure",), help="Use plain HTTP."),
    replace(options.SKIP_TLS_VERIFY_PULL, aliases=("skip-tls-verify",), help="Accept any TLS certificate."),
    *_BOTH, *_MIRRORS, options.IMAGE_DOWNLOAD_RETRY,
)  # fmt: skip
"""``--insecure`` is for what the command does: of a command that only reads, for reading."""

WRITING: tuple[Option[object], ...] = (
    replace(options.INSECURE, help="Use plain HTTP."),
    replace(options.SKIP_TLS_VERIFY, help="Accept any TLS certificate."),
    *_BOTH, options.PUSH_RETRY, options.PUSH_IGNORE_IMMUTABLE_TAG_ERRORS,
)  # fmt: skip

BOTH: tuple[Option[object], ...] = (
    options.INSECURE, options.INSECURE_PULL, options.SKIP_TLS_VERIFY, options.SKIP_TLS_VERIFY_PULL, *_BOTH, *_MIRRORS,
    options.PUSH_RETRY, options.PUSH_IGNORE_IMMUTABLE_TAG_ERRORS, options.IMAGE_DOWNLOAD_RETRY,
)  # fmt: skip

PLATFORM = replace(options.CUSTOM_PLATFORM, help="Platform of the image; default: this machine's.")
QUIETLY = (options.VERBOSITY, options.QUIET)


def table(own: tuple[Option[object], ...], shown: tuple[Option[object], ...]) -> Table:
    """``own`` flags of a command and those about registries and the log, of which help lists ``shown``."""
    rows = (*own, *shown)
    known = {name for row in rows for name in row.spellings}
    rest = (row for row in (*options.REGISTRY, *options.LOGGING) if not known & set(row.spellings))
    return Table((*rows, *(replace(row, hidden=True) for row in rest)))
