"""What the Dockerfile is compiled with: platform, build arguments, stage, labels. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.builder.request import PlanOptions
from gazami.cli.environ import Surroundings
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import Pairs
from gazami.cli.flags.options import BUILD_ARG, CUSTOM_PLATFORM, LABEL, TARGET
from gazami.errors import UsageError
from gazami.events import Message
from gazami.image.platform import Platform, host_platform, parse_platform


def plan_options(flags: Flags, around: Surroundings) -> tuple[PlanOptions, list[Message]]:
    """With a warning for each build argument that has no value. Raises :class:`UsageError`."""
    host = host_platform(around.machine)
    build_args, messages = _build_args(flags[BUILD_ARG], around.environ)
    return PlanOptions(host, platform_of(flags, around), build_args, flags[TARGET], flags[LABEL]), messages


def platform_of(flags: Flags, around: Surroundings) -> Platform:
    """``--custom-platform``, else that of this machine."""
    host, wanted = host_platform(around.machine), flags[CUSTOM_PLATFORM]
    if "," in wanted:
        hint = "build each one with --index and --index-run, or all with gazami submit: see docs/how-to/from-docker-build.md"
        raise UsageError(f"{flags.spelling(CUSTOM_PLATFORM)} {wanted}: a build makes an image for one platform", hint=hint)
    try:
        return parse_platform(wanted, host=host) if wanted else host
    except UsageError as error:
        raise UsageError(f"{flags.spelling(CUSTOM_PLATFORM)}: {error.message}", hint=error.hint) from error


def _build_args(words: tuple[str, ...], environ: Mapping[str, str]) -> tuple[Pairs, list[Message]]:
    """A bare name that the environment lacks is left out, so that the ARG keeps its default, as with docker build."""
    pairs: list[tuple[str, str]] = []
    messages: list[Message] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise UsageError(f"invalid value {word!r} for --build-arg", hint="write NAME=VALUE, or NAME")
        if not equals and name not in environ:
            text = f"--build-arg {name}: the environment has no {name}, the ARG keeps its default"
            messages.append(Message("warning", text))
            continue
        pairs.append((name, value if equals else environ[name]))
    if environ.get("SOURCE_DATE_EPOCH") and not any(name == "SOURCE_DATE_EPOCH" for name, _ in pairs):
        pairs.append(("SOURCE_DATE_EPOCH", environ["SOURCE_DATE_EPOCH"]))
    return tuple(pairs), messages
