"""The habits of ``docker build``: its flags in gazami's words, and what a build does that names no output. Pure."""

from __future__ import annotations

from gazami.cli.flags import docker, options
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.option import Written
from gazami.errors import UsageError
from gazami.values import replace

WORKSPACE = "/workspace"
"""The context of kaniko's images, and so the default of the executor."""


def in_own_words(flags: Flags, *, has_workspace: bool) -> Flags:
    """The flags of :mod:`gazami.cli.flags.docker` as those of ``gazami build``. Without a context that is the working directory,
    unless there is a ``/workspace``; without a name and an output the image is built and not pushed. Raises
    :class:`UsageError` for flags that contradict each other."""
    if flags[docker.DEBUG] and not flags.given(options.VERBOSITY):
        flags = flags.having(options.VERBOSITY, "debug")
    if flags[docker.SQUASH]:
        flags = flags.having(options.SINGLE_SNAPSHOT, "true")
    if not flags.positionals and not flags.given(options.CONTEXT) and not flags[options.BUCKET] and not has_workspace:
        flags = flags.having(options.CONTEXT, ".")
    return _with_outputs(flags)


def _with_outputs(flags: Flags) -> Flags:
    push, named = flags.given(docker.PUSH) and flags[docker.PUSH], bool(flags[options.DESTINATION])
    if push and not named and not _pushes(flags[options.OUTPUT]):
        raise UsageError("--push needs a name to push to", hint="add --tag (-t) HOST/NAME:TAG")
    if flags[docker.LOAD]:
        outputs = (*flags.words(options.OUTPUT), "type=docker", *(["type=registry"] if push else []))
        return flags.having(options.OUTPUT, *outputs)
    if not flags[docker.PUSH]:
        return flags.having(options.NO_PUSH, "true")
    if not named and not flags[options.OUTPUT] and not flags.given(options.NO_PUSH):
        return replace(flags, written={**flags.written, options.NO_PUSH.name: Written(options.NO_PUSH.name, ("true",), "")})
    return flags


def _pushes(words: tuple[str, ...]) -> bool:
    from gazami.cli.request.exports import read_outputs  # help needs none of it

    return read_outputs(words, "/").pushes


def names_no_output(flags: Flags) -> bool:
    """Whether an image is made of which nothing stays, and nobody said that it should be so."""
    files = flags.given(options.TAR_PATH) or flags.given(options.OCI_LAYOUT_PATH)
    return flags.given(options.NO_PUSH) and not flags.spelling(options.NO_PUSH) and not files


NOT_PUSHED = (
    "not pushed and not kept: add -t HOST/NAME:TAG to push it, --load to give it to docker or podman, "
    "--tar-path FILE or -o DIR to write it"
)
"""What is said at the end of such a build."""


def without_registry(names: tuple[str, ...]) -> str | None:
    """A hint for names as ``app:1``, which mean Docker Hub's own images; None where there is none."""
    for name in names:
        if "/" not in name:
            whole = name if ":" in name else f"{name}:latest"
            return f"{name} means docker.io/library/{whole}: write HOST/{name} for a registry of yours, or --load to keep it here"
    return None
