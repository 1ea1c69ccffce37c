"""Which checks count: ``# check=skip=…;experimental=…;error=…`` for the file and for one instruction.

The build argument ``BUILDKIT_DOCKERFILE_CHECK`` replaces the file's directive. A comment above an instruction adds to what
holds for the file, for that instruction only; its ``error=`` has no meaning (frontend reference, build checks).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gazami.dockerfile.instructions import Dockerfile
from gazami.dockerfile.rules import Rule
from gazami.dockerfile.suggest import did_you_mean
from gazami.errors import DockerfileError, Source, Span
from gazami.values import fast_dataclass, replace

BUILD_ARG = "BUILDKIT_DOCKERFILE_CHECK"

_COMMENT = re.compile(r"check\s*=\s*(\S.*?)\s*\Z", re.IGNORECASE)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_KEYS = ("skip", "experimental", "error")


@fast_dataclass(frozen=True, slots=True)
class CheckOptions:
    """``error``: a finding ends the build. ``skip`` does not touch experimental rules."""

    skip: frozenset[str] = frozenset()
    skip_all: bool = False
    experimental: frozenset[str] = frozenset()
    experimental_all: bool = False
    error: bool = False

    def allows(self, rule: Rule) -> bool:
        if rule.experimental:
            return self.experimental_all or rule.name in self.experimental
        return not self.skip_all and rule.name not in self.skip

    def with_comments(self, comments: tuple[str, ...]) -> CheckOptions:
        """What holds below these comments. One that is not understood is a comment like any other."""
        for comment in comments:
            found = _COMMENT.match(comment)
            if found is None:
                continue
            try:
                own = parse_check_options(found.group(1).partition(" ")[0])
            except DockerfileError:
                return self
            return replace(
                self,
                skip=self.skip | own.skip,
                skip_all=self.skip_all or own.skip_all,
                experimental=self.experimental | own.experimental,
                experimental_all=self.experimental_all or own.experimental_all,
            )
        return self


def check_options(dockerfile: Dockerfile, source: Source, build_args: Mapping[str, str]) -> CheckOptions:
    """What the directive says, or the build argument instead of it. Raises :class:`DockerfileError`."""
    if BUILD_ARG in build_args:
        try:
            return parse_check_options(build_args[BUILD_ARG])
        except DockerfileError as error:
            raise DockerfileError(f"{BUILD_ARG}: {error.message}", hint=error.hint) from None
    for name, value, line in dockerfile.directives:
        if name == "check":
            try:
                return parse_check_options(value.partition(" ")[0])
            except DockerfileError as error:
                raise error.at(Span(line, line), source) from None
    return CheckOptions()


def parse_check_options(text: str) -> CheckOptions:
    """Read up to three ``key=value`` parts. Raises :class:`DockerfileError` without a span."""
    options = CheckOptions()
    if not text.strip():
        return options
    for part in text.strip().split(";", 2):
        key, equals, value = (each.strip() for each in part.partition("="))
        if not equals:
            raise _invalid(f"invalid check option {part!r}")
        names = frozenset() if value == "all" else frozenset(name.strip() for name in value.split(","))
        match key:
            case "skip":
                options = replace(options, skip=names, skip_all=value == "all")
            case "experimental":
                options = replace(options, experimental=names, experimental_all=value == "all")
            case "error":
                if value not in _TRUE | _FALSE:
                    raise _invalid(f"failed to parse check option {part!r}")
                options = replace(options, error=value in _TRUE)
            case _:
                raise _invalid(f"invalid check option {key!r}{did_you_mean(key, _KEYS)}")
    return options


def _invalid(message: str) -> DockerfileError:
    return DockerfileError(message, hint="for example: skip=RuleName,RuleName;experimental=all;error=true")
