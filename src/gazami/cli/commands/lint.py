"""``gazami lint``: the build checks of one Dockerfile, without a build and without a registry."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace

from gazami.cli.environ import Surroundings, working_directory
from gazami.cli.flags.argv import Parsed, parse
from gazami.cli.flags.option import Group, Kind, Option, Table
from gazami.cli.flags.options import BUILD
from gazami.cli.reading import read_dockerfile, write_out
from gazami.cli.request import build_request
from gazami.errors import GazamiError, UsageError
from gazami.report.excerpt import excerpt
from gazami.report.findings import FORMATS

HELP = """\
Check a Dockerfile for what goes wrong quietly. Nothing is built, no registry is asked.

Usage:
  gazami lint [FILE] [flags]

FILE is the Dockerfile (default: Dockerfile), or - for standard input.

Flags:
      --format FORMAT                  text, json, sarif, github or gitlab. Default: text.
      --context DIR                    where COPY reads from; its .dockerignore counts. Default: the working directory.
      --build-arg NAME[=VALUE]         set an ARG. Repeatable.
      --target STAGE                   look at this stage and those it needs, not at all.
      --platform OS/ARCH[/VARIANT]     the platform of the build. Default: that of this machine.
      --error                          findings end with status 1.

Examples:
  gazami lint
  gazami lint docker/Dockerfile --error
  gazami lint --format=sarif > lint.sarif
  cat Dockerfile | gazami lint -

The checks are those of docker build --check, with the same names. In the Dockerfile, '# check=skip=RULE,RULE;error=true' on
the first line holds for all of it, and '# check=skip=RULE' above an instruction for that instruction.

Exit status: 0 without findings, or with findings that are warnings; 1 with findings and --error (or error=true), and for a
Dockerfile that cannot be built.
"""


def _of_build(name: str) -> Option:
    option = BUILD.long(name)
    assert option is not None
    return option


LINT = Table(
    (
        Option("format", Kind.CHOICE, Group.BUILD, "The form of the findings.", "text", choices=tuple(FORMATS)),
        Option("context", Kind.STRING, Group.BUILD, "Where COPY reads from.", ".", metavar="DIR", shorthands="c"),
        Option("error", Kind.BOOL, Group.BUILD, "Findings end with status 1.", "false"),
        _of_build("build-arg"),
        _of_build("target"),
        _of_build("custom-platform"),
    )
)


def run_lint(words: list[str], environ: Mapping[str, str]) -> int:
    """Print the findings; the exit status."""
    try:
        parsed = parse(words, LINT)
        if parsed.help:
            sys.stdout.write(HELP)
            return 0
        file = _file(parsed)
        around = Surroundings(environ, working_directory(), os.uname().machine, os.getuid())
        wanted = build_request(parse(_build_words(parsed, file), BUILD), around)
        reading = read_dockerfile(wanted.request, knows_secrets=False)
        source = reading.source if file == "-" else replace(reading.source, name=file)
        findings, options = reading.findings(source)
    except GazamiError as error:
        return _wrong(error)
    write_out(FORMATS[parsed.text("format")](findings, source))
    strict = options.error or parsed.flag("error")
    return int(any(strict or finding.level == "error" for finding in findings))


def _wrong(error: GazamiError) -> int:
    parts = [excerpt(error.source, error.span)] if error.source and error.span else []
    parts.append(f"Error: {error.message}")
    parts += [f"hint: {error.hint}"] if error.hint else []
    parts += ["Run 'gazami lint --help' for usage."] if isinstance(error, UsageError) else []
    sys.stderr.write("\n".join(parts) + "\n")
    return 1


def _file(parsed: Parsed) -> str:
    if len(parsed.positionals) > 1:
        raise UsageError(f"only one Dockerfile can be given, but {parsed.positionals[1]!r} is there too")
    return parsed.positionals[0] if parsed.positionals else "Dockerfile"


def _build_words(parsed: Parsed, file: str) -> list[str]:
    """The flags of the build that this looks at, so that both read a Dockerfile the same way."""
    return [
        "--no-push",
        f"--context={parsed.text('context')}",
        f"--dockerfile={file}",
        f"--custom-platform={parsed.text('custom-platform')}",
        *(f"--build-arg={word}" for word in parsed.texts("build-arg")),
        *(f"--target={word}" for word in parsed.texts("target")),
    ]
