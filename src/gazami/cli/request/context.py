"""Where the build context and the Dockerfile are. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.builder.request import ContextOptions
from gazami.cli.environ import Surroundings
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import Pairs
from gazami.cli.flags.options import BUCKET, BUILD_CONTEXT, CONTEXT, CONTEXT_SUB_PATH, DOCKERFILE, GIT, IGNORE_PATH
from gazami.cli.paths import absolute_context
from gazami.errors import UsageError

CLOUDS = ("AWS_", "AZURE_", "GOOGLE_", "GCE_METADATA_", "IDENTITY_", "MSI_")
"""How the variables of clouds begin, those of credentials too."""

HOMES = frozenset({"HOME", "CLOUDSDK_CONFIG", "NO_GCE_CHECK"})
_VARIABLES = HOMES | {
    "GIT_TOKEN", "GIT_USERNAME", "GIT_PASSWORD", "GIT_PULL_METHOD", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "STORAGE_EMULATOR_HOST",
}  # fmt: skip


def context_options(flags: Flags, around: Surroundings) -> ContextOptions:
    """Raises :class:`UsageError` when two contexts are given."""
    context, bucket = _written(flags), flags[BUCKET]
    if bucket and (not context or "://" in context):
        context = bucket if "://" in bucket else f"gs://{bucket}"
    if context in ("-", "tar://stdin") and flags[DOCKERFILE] == "-":
        raise UsageError("standard input cannot be the context and the Dockerfile at the same time")
    return ContextOptions(
        context=absolute_context(context, around.cwd),
        sub_path=flags[CONTEXT_SUB_PATH],
        dockerfile=flags[DOCKERFILE],
        dockerfile_given=flags.given(DOCKERFILE),
        ignore_paths=flags[IGNORE_PATH],
        git=flags[GIT],
        named=tuple((name, absolute_context(value, around.cwd)) for name, value in flags[BUILD_CONTEXT]),
        environment=_variables(around.environ),
    )


def _written(flags: Flags) -> str:
    """The context as an argument or a flag."""
    if not flags.positionals:
        return flags[CONTEXT]
    first, *more = flags.positionals
    if more:
        hint = f"a bool flag takes its value after '=': --flag={more[0]}" if more[0] in ("true", "false") else None
        raise UsageError(f"only one context can be given, {more[0]!r} is a second one", hint=hint)
    if flags.given(CONTEXT) and flags[CONTEXT] != first:
        raise UsageError(f"the context is given twice: {first!r} and --context={flags[CONTEXT]}")
    return first


def _variables(environ: Mapping[str, str]) -> Pairs:
    """The variables that say how contexts are fetched."""
    return tuple((name, value) for name, value in environ.items() if name in _VARIABLES or name.startswith((*CLOUDS, "S3_")))
