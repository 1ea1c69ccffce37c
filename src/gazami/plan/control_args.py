"""Build arguments that mean something to BuildKit itself: which of them have no effect here. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gazami.dockerfile.instructions import Dockerfile
from gazami.errors import Span
from gazami.plan.steps import PlanWarning

_WITHOUT_EFFECT = ("BUILDKIT_MULTI_PLATFORM", "BUILDKIT_BUILD_NAME", "BUILDKIT_ATTEST_SBOM", "BUILDKIT_ATTEST_PROVENANCE")
_OFF = frozenset({"", "0", "f", "false", "disabled=true"})
_FRONTENDS = ("docker/dockerfile", "dockerfile.v0", "docker.io/docker/dockerfile")


def without_effect(build_args: Mapping[str, str]) -> Iterator[PlanWarning]:
    """One warning for all arguments that ask for what gazami does not do."""
    names = [name for name in _WITHOUT_EFFECT if build_args.get(name, "").lower() not in _OFF]
    if not _is_known(build_args.get("BUILDKIT_SYNTAX", "")):
        names.append("BUILDKIT_SYNTAX")
    if names:
        yield PlanWarning(f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} no effect in gazami")


def other_syntax(dockerfile: Dockerfile) -> Iterator[PlanWarning]:
    """A warning for ``# syntax=`` of a frontend that reads another language than Docker's."""
    for name, value, line in dockerfile.directives:
        if name == "syntax" and not _is_known(value):
            text = f"# syntax={value} has no effect: gazami reads the file as a Dockerfile"
            yield PlanWarning(text, span=Span(line, line))


def _is_known(image: str) -> bool:
    """Whether a frontend is Docker's own, in any version."""
    name = image.partition(" ")[0].partition("@")[0]
    return not name or name.partition(":")[0].removesuffix("-upstream") in _FRONTENDS
