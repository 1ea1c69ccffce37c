"""The build checks by name, as BuildKit knows them (frontend reference, build checks), and what a check finds.

The functions that find violations are beside what they need to know: :mod:`gazami.dockerfile.checks` for what the text alone shows,
:mod:`gazami.plan.checks` for what needs stages, variables, images or the ignore file.
"""

from __future__ import annotations

import re
from typing import Literal

from gazami.dockerfile.instructions import Written
from gazami.errors import Span
from gazami.values import fast_dataclass

_MANUAL = "https://docs.docker.com/go/dockerfile/rule/"
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@fast_dataclass(frozen=True, slots=True)
class Rule:
    """``experimental`` ones are off unless they are asked for; ``manual`` says that Docker's manual has a page."""

    name: str
    description: str
    experimental: bool = False
    manual: bool = True

    @property
    def url(self) -> str:
        return f"{_MANUAL}{_WORD.sub('-', self.name).lower()}/" if self.manual else ""


@fast_dataclass(frozen=True, slots=True)
class RuleHit:
    """An instruction that violates a rule. The comments above may silence it; ``span`` is where it is shown, the instruction's own
    when None."""

    written: Written
    detail: str
    span: Span | None = None


@fast_dataclass(frozen=True, slots=True)
class Finding:
    """What a check has to say. An error is a Dockerfile that cannot be built at all (rule ``ParseError``)."""

    rule: str
    detail: str
    span: Span
    url: str = ""
    description: str = ""
    level: Literal["warning", "error"] = "warning"


STAGE_NAME_CASING = Rule("StageNameCasing", "Stage names should be lowercase")
FROM_AS_CASING = Rule("FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword")
NO_EMPTY_CONTINUATION = Rule("NoEmptyContinuation", "Empty continuation lines will become errors in a future release")
CONSISTENT_INSTRUCTION_CASING = Rule(
    "ConsistentInstructionCasing", "All commands within the Dockerfile should use the same casing (either upper or lower)"
)
DUPLICATE_STAGE_NAME = Rule("DuplicateStageName", "Stage names should be unique")
RESERVED_STAGE_NAME = Rule("ReservedStageName", "Reserved words should not be used as stage names")
JSON_ARGS_RECOMMENDED = Rule(
    "JSONArgsRecommended", "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals"
)
MAINTAINER_DEPRECATED = Rule(
    "MaintainerDeprecated", "The MAINTAINER instruction is deprecated, use a label instead to define an image author"
)
UNDEFINED_ARG_IN_FROM = Rule("UndefinedArgInFrom", "FROM command must use declared ARGs")
WORKDIR_RELATIVE_PATH = Rule(
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
)
UNDEFINED_VAR = Rule("UndefinedVar", "Variables should be defined before their use")
MULTIPLE_INSTRUCTIONS_DISALLOWED = Rule(
    "MultipleInstructionsDisallowed", "Multiple instructions of the same type should not be used in the same stage"
)
LEGACY_KEY_VALUE_FORMAT = Rule("LegacyKeyValueFormat", "Legacy key/value format with whitespace separator should not be used")
INVALID_BASE_IMAGE_PLATFORM = Rule(
    "InvalidBaseImagePlatform", "Base image platform does not match expected target platform", manual=False
)
REDUNDANT_TARGET_PLATFORM = Rule(
    "RedundantTargetPlatform", "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior"
)
SECRETS_USED_IN_ARG_OR_ENV = Rule("SecretsUsedInArgOrEnv", "Sensitive data should not be used in the ARG or ENV commands")
INVALID_DEFAULT_ARG_IN_FROM = Rule(
    "InvalidDefaultArgInFrom", "Default value for global ARG results in an empty or invalid base image name"
)
FROM_PLATFORM_FLAG_CONST_DISALLOWED = Rule(
    "FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value"
)
COPY_IGNORED_FILE = Rule("CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore")
INVALID_DEFINITION_DESCRIPTION = Rule(
    "InvalidDefinitionDescription",
    "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not "
    "intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    experimental=True,
)
EXPOSE_PROTO_CASING = Rule("ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase")
EXPOSE_INVALID_FORMAT = Rule(
    "ExposeInvalidFormat",
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
)
UNKNOWN_STAGE = Rule("UnknownStage", "Sources that look like the name of a stage should be one", manual=False)
UNPINNED_BASE = Rule("UnpinnedBase", "Base images should have a tag other than latest, or a digest", manual=False)
ADD_INSTEAD_OF_COPY = Rule("AddInsteadOfCopy", "COPY should be used for local files", manual=False)
EXEC_FORM_NOT_JSON = Rule("ExecFormNotJSON", "Exec forms should be valid JSON", manual=False)
APT_GET_ASSUME_YES = Rule("AptGetAssumeYes", "apt-get should not ask questions", manual=False)
APT_GET_RECOMMENDS = Rule("AptGetRecommends", "apt-get should install only what it names and needs", manual=False)
APT_GET_LISTS = Rule("AptGetLists", "The package lists of apt-get should not stay in a layer", manual=False)
SUDO_IN_RUN = Rule("SudoInRun", "USER should be used instead of sudo", manual=False)
CD_IN_RUN = Rule("CdInRun", "WORKDIR should be used instead of cd", manual=False)
PIPE_TO_SHELL = Rule("PipeToShell", "A failed download should fail the step", manual=False)
INPUT_MISSING = Rule("InputMissing", "Files, secrets and agents that a build needs should be there", manual=False)

RULES = (
    STAGE_NAME_CASING,
    FROM_AS_CASING,
    NO_EMPTY_CONTINUATION,
    CONSISTENT_INSTRUCTION_CASING,
    DUPLICATE_STAGE_NAME,
    RESERVED_STAGE_NAME,
    JSON_ARGS_RECOMMENDED,
    MAINTAINER_DEPRECATED,
    UNDEFINED_ARG_IN_FROM,
    WORKDIR_RELATIVE_PATH,
    UNDEFINED_VAR,
    MULTIPLE_INSTRUCTIONS_DISALLOWED,
    LEGACY_KEY_VALUE_FORMAT,
    INVALID_BASE_IMAGE_PLATFORM,
    REDUNDANT_TARGET_PLATFORM,
    SECRETS_USED_IN_ARG_OR_ENV,
    INVALID_DEFAULT_ARG_IN_FROM,
    FROM_PLATFORM_FLAG_CONST_DISALLOWED,
    COPY_IGNORED_FILE,
    INVALID_DEFINITION_DESCRIPTION,
    EXPOSE_PROTO_CASING,
    EXPOSE_INVALID_FORMAT,
)

HABIT_RULES = (
    UNPINNED_BASE,
    ADD_INSTEAD_OF_COPY,
    EXEC_FORM_NOT_JSON,
    APT_GET_ASSUME_YES,
    APT_GET_RECOMMENDS,
    APT_GET_LISTS,
    SUDO_IN_RUN,
    CD_IN_RUN,
    PIPE_TO_SHELL,
)
"""Rules that only ``gazami lint`` looks at."""

OWN_RULES = (UNKNOWN_STAGE, INPUT_MISSING, *HABIT_RULES)
"""Rules that Docker has not."""

PARSE_ERROR = "ParseError"
"""The rule of a finding that says why the Dockerfile cannot be built."""
