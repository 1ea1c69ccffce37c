"""``gazami lint``: the build checks of Dockerfiles, without a build and without a registry."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from gazami.cli.ci import shows_colors
from gazami.cli.command import Command
from gazami.cli.commands.dockerfile import Reading, read_dockerfile, request_of, write_out
from gazami.cli.commands.lint_files import contexts_of, files_of, lacking, with_unsure_context, write_fixed
from gazami.cli.environ import Surroundings, without_credentials
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import BOOL, STRING, choice
from gazami.cli.flags.option import Group, Option, Table
from gazami.cli.flags.options import BUILD_ARG, CUSTOM_PLATFORM, TARGET
from gazami.cli.flags.options import DOCKERFILE as BUILD_DOCKERFILE
from gazami.context.confined import lies_in
from gazami.dockerfile.check_options import CheckOptions
from gazami.dockerfile.rules import Finding
from gazami.errors import DockerfileError, Source, UsageError
from gazami.report.findings import FORMATS, Checked
from gazami.report.findings_text import TEXTS, render
from gazami.values import replace

_USAGE = """\
Check Dockerfiles for what goes wrong quietly. Nothing is built, no registry is asked.

Usage:
  gazami lint [FILE | FOLDER ...] [flags]

A FILE is a Dockerfile (default: Dockerfile), or - for standard input. A FOLDER stands for all files below it that are called
Dockerfile, Dockerfile.*, *.Dockerfile or Containerfile; hidden folders, node_modules, vendor and what Git
ignores are passed over.

Examples:
  gazami lint
  gazami lint --fix
  gazami lint services/ docker/Dockerfile --format=concise
  gazami lint . --format=sarif > lint.sarif
  cat Dockerfile | gazami lint -
"""

_NOTES = """\
The checks are those of docker build --check, with the same names, and some of gazami's own (--rules=docker leaves those out). In
the Dockerfile, '# check=skip=RULE,RULE' on the first line holds for all of it, and above an instruction for that instruction.

Exit status: 0 without findings; 1 with findings. --error=false: 1 only for a Dockerfile that cannot be built, or that says
'# check=error=true' and has findings.
"""

FORMAT = Option("format", choice(*TEXTS, *FORMATS), Group.BUILD, "Format of the findings.", "text")
CONTEXT = Option(
    "context",
    STRING,
    Group.BUILD,
    "The directory that COPY reads from; its .dockerignore counts. Default: the working directory, or the Dockerfile's own where "
    "that lacks less.",
    metavar="DIR",
    shorthands="c",
)
DOCKERFILE = replace(BUILD_DOCKERFILE, help="The Dockerfile, as FILE.", metavar="FILE")
ERROR = Option("error", BOOL, Group.BUILD, "Exit with status 1 when there are findings.", "true")
RULES = Option("rules", choice("all", "docker"), Group.BUILD, "The rules: Docker's and gazami's own, or Docker's.", "all")
FIX = Option(
    "fix",
    BOOL,
    Group.BUILD,
    "Repair in the files what has one obvious remedy: the case of instructions and of AS, ENV and LABEL without =, MAINTAINER, "
    "empty continuation lines. What is left is printed.",
    "false",
)


def _lint(flags: Flags, environ: Mapping[str, str]) -> int:
    """Print the findings; the exit status."""
    around = without_credentials(environ)
    files = files_of(flags.positionals or (flags[DOCKERFILE],))
    if len(files) > 1 and flags[TARGET]:
        raise UsageError(f"--target is a stage of one Dockerfile, {len(files)} are checked", hint="name one Dockerfile")
    checked: list[Checked] = []
    status = 0
    for file in files:
        found, failed = _check(file, flags, around)
        checked.append(found)
        status |= int(failed)
    colored = shows_colors({name: value for name, value in environ.items() if name != "CI"}, sys.stdout)
    write_out(render(flags[FORMAT], checked, colored=colored))
    return status


def _check(file: str, flags: Flags, around: Surroundings) -> tuple[Checked, bool]:
    """The findings in the context in which the fewest files are missing, and whether they make the status 1."""
    tried: list[tuple[Source, tuple[Finding, ...], CheckOptions]] = []
    contexts = contexts_of(file, flags[CONTEXT])
    for context in contexts:
        reading = read_dockerfile(request_of(flags, around, context=context, dockerfile=file), knows_secrets=False)
        if flags[FIX] and not tried:
            reading = _fixed(file, reading)
        source = replace(reading.source, name=_shown(file, reading.path))
        findings, options = reading.findings(source, habits=flags[RULES] == "all")
        tried.append((source, findings, options))
        if not lacking(findings):
            break
    source, findings, options = min(tried, key=lambda each: lacking(each[1]))
    if len(contexts) > 1:
        findings = with_unsure_context(findings, contexts, options)
    strict = options.error or flags[ERROR]
    return Checked(source, findings), any(strict or finding.level == "error" for finding in findings)


def _shown(file: str, path: Path | None) -> str:
    """The name that the user typed, or of the file that was found for it: beside the working directory from there."""
    if path is None:
        return "Dockerfile"
    if os.path.exists(file):
        return file
    return os.path.relpath(path) if path.is_absolute() and lies_in(".", str(path)) else str(path)


def _fixed(file: str, reading: Reading) -> Reading:
    """The file after it was repaired and written. One that is no Dockerfile stays as it is: its mistakes are findings."""
    from gazami.dockerfile.fix import fix

    if reading.path is None:
        raise UsageError("--fix writes to files, and standard input is none", hint="name the Dockerfile")
    try:
        done = fix(reading.source, reading.inputs.build_args)
    except DockerfileError:
        return reading
    if done.text == reading.source.text:
        return reading
    write_fixed(reading.path, reading.source.text, done.text)
    told = ", ".join(f"{rule} ({count})" if count > 1 else rule for rule, count in sorted(done.counts.items()))
    sys.stderr.write(f"fixed {_shown(file, reading.path)}: {told}\n")
    return replace(reading, source=replace(reading.source, text=done.text))


COMMAND = Command(
    "lint",
    _USAGE,
    Table((FORMAT, FIX, RULES, DOCKERFILE, CONTEXT, BUILD_ARG, TARGET, CUSTOM_PLATFORM, ERROR)),
    _lint,
    notes=_NOTES,
    reads_files="project",
)
