"""``gazami lint``: the build checks of one Dockerfile, without a build and without a registry."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.cli.command import Command
from gazami.cli.commands.dockerfile import read_dockerfile, request_of, write_out
from gazami.cli.environ import without_credentials
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import BOOL, STRING, choice
from gazami.cli.flags.option import Group, Option, Table
from gazami.cli.flags.options import BUILD_ARG, CUSTOM_PLATFORM, TARGET
from gazami.cli.flags.options import DOCKERFILE as BUILD_DOCKERFILE
from gazami.errors import UsageError
from gazami.report.findings import FORMATS
from gazami.values import replace

_USAGE = """\
Check a Dockerfile for what goes wrong quietly. Nothing is built, no registry is asked.

Usage:
  gazami lint [FILE] [flags]

FILE is the Dockerfile (default: Dockerfile), or - for standard input.

Examples:
  gazami lint
  gazami lint docker/Dockerfile --error
  gazami lint --format=sarif > lint.sarif
  cat Dockerfile | gazami lint -
"""

_NOTES = """\
The checks are those of docker build --check, with the same names. In the Dockerfile, '# check=skip=RULE,RULE;error=true' on
the first line holds for all of it, and '# check=skip=RULE' above an instruction for that instruction.

Exit status: 0 without findings, or with findings that are warnings; 1 with findings and --error (or error=true), and for a
Dockerfile that cannot be built.
"""

FORMAT = Option("format", choice(*FORMATS), Group.BUILD, "Format of the findings.", "text")
CONTEXT = Option("context", STRING, Group.BUILD, "The directory that COPY reads from; its .dockerignore counts. "
                 "Default: the working directory.", metavar="DIR", shorthands="c")  # fmt: skip
DOCKERFILE = replace(BUILD_DOCKERFILE, help="The Dockerfile, as FILE.", metavar="FILE")
ERROR = Option("error", BOOL, Group.BUILD, "Exit with status 1 when there are findings.", "false")


def _lint(flags: Flags, environ: Mapping[str, str]) -> int:
    """Print the findings; the exit status."""
    file = _file(flags)
    request = request_of(flags, without_credentials(environ), context=flags[CONTEXT] or ".", dockerfile=file)
    reading = read_dockerfile(request, knows_secrets=False)
    source = reading.source if file == "-" else replace(reading.source, name=file)
    findings, options = reading.findings(source)
    write_out(FORMATS[flags[FORMAT]](findings, source))
    strict = options.error or flags[ERROR]
    return int(any(strict or finding.level == "error" for finding in findings))


def _file(flags: Flags) -> str:
    if len(flags.positionals) > 1:
        raise UsageError(f"only one Dockerfile can be given, {flags.positionals[1]!r} is a second one")
    return flags.positionals[0] if flags.positionals else flags[DOCKERFILE]


COMMAND = Command(
    "lint",
    _USAGE,
    Table((FORMAT, DOCKERFILE, CONTEXT, BUILD_ARG, TARGET, CUSTOM_PLATFORM, ERROR)),
    _lint,
    notes=_NOTES,
    reads_files="project",
)
