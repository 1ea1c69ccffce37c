"""What a Dockerfile is compiled with."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.errors import DockerfileError
from gazami.image.platform import Platform
from gazami.values import fast_dataclass, field


@fast_dataclass(frozen=True, slots=True)
class PlanInputs:
    """``build_args`` have values, ``host`` is the machine's own platform."""

    build_args: Mapping[str, str]
    host: Platform
    platform: Platform
    target: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    contexts: Mapping[str, str] = field(default_factory=dict)
    """Further build contexts: :func:`context_name` of the name, and the value as given."""


def check_build_args(build_args: Mapping[str, str]) -> None:
    for name in build_args:
        if not name:
            raise DockerfileError("a build argument needs a name", hint="--build-arg NAME=value")


def context_name(text: str) -> str:
    """A context's name as it is compared: lower case, without Docker Hub's host and the tag ``latest``."""
    return text.lower().removeprefix("docker.io/").removeprefix("library/").removesuffix(":latest")
