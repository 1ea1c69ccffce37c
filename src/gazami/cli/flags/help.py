"""The texts of ``--help``: usage, examples and the flags by group, laid out for the width of the terminal."""

from __future__ import annotations

import textwrap

from gazami.cli.flags.option import REPEATABLE, Effect, Group, Kind, Option, Table

TOP = """\
gazami builds container images from Dockerfiles without a daemon and without privileges.

Usage:
  gazami build [CONTEXT] [flags]

Commands:
  build     build an image and push it
  submit    build in a Kubernetes cluster and watch it from here
  push      push an OCI layout, or an archive of docker save, to registries
  pull      fetch an image into an OCI layout or an archive
  inspect   say what an image is without fetching its layers
  login     store a user and a password for a registry
  warm      fill a directory of base images for --cache-dir
  cache     list, prune or explain the layer cache
  lint      check a Dockerfile: gazami lint --help
  doctor    say which isolation of RUN steps works here, and why others do not
  version   print the version
  help      explain a command: gazami help build

Examples:
  gazami build . --tag registry.example.com/app:1.0
  gazami build . --no-push --oci-layout-path out/
  gazami build . --no-push --dryrun

Every flag of kaniko's executor is accepted. Run 'gazami build --help' for all flags, 'gazami COMMAND --help' for others.
"""

_BUILD = """\
Build an image from a Dockerfile and push it.

Usage:
  gazami build [CONTEXT] --tag NAME[:TAG] [flags]
  gazami build [CONTEXT] --no-push [flags]

CONTEXT is the directory (or URI) that COPY and ADD read from, the same as --context.

Examples:
  # Dockerfile and files in the working directory
  gazami build . --tag registry.example.com/app:1.0

  # another Dockerfile, a build argument, one stage of several
  gazami build . -f docker/Dockerfile --build-arg VERSION=1.0 --target app -t registry.example.com/app

  # no registry: an archive for docker load, the digest in a file
  gazami build . --no-push --tag app:1.0 --tar-path app.tar --digest-file app.digest

  # a secret that only one RUN can see (RUN --mount=type=secret,id=token)
  gazami build . --secret id=token,env=API_TOKEN -t registry.example.com/app

  # what would be done
  gazami build . --no-push --dryrun
"""

_END = """\
Credentials are those of docker login and podman login: $DOCKER_CONFIG/config.json, ~/.docker/config.json,
$REGISTRY_AUTH_FILE, containers/auth.json; DOCKER_AUTH_CONFIG wins over them.

Exit status: 0 good; the status of the RUN command that failed; 130 or 143 interrupted; 1 any other error.
"""

_COLUMN = 30


def build_help(table: Table, width: int) -> str:
    """``width`` in columns; lines that must not break may be longer."""
    width = max(60, min(width, 110))
    parts = [_BUILD]
    for group in Group:
        rows = [_row(option, width) for option in table if option.group is group and not option.hidden]
        parts.append(f"{group.value} flags:\n" + "\n".join(rows) + "\n")
    return "\n".join([*parts, _END])


def flag_rows(table: Table, width: int) -> str:
    """The flags of a smaller command, in their order."""
    return "\n".join(_row(option, width) for option in table if not option.hidden)


def _row(option: Option, width: int) -> str:
    names = ", ".join([*(f"-{letter}" for letter in option.shorthands), *long_names(option)])
    head = f"  {names}" if option.shorthands else f"      {names}"
    if shown := metavar(option):
        head += f" {shown}"
    lines = textwrap.wrap(description(option), width - _COLUMN, break_long_words=False, break_on_hyphens=False)
    pad = " " * _COLUMN
    if len(head) + 2 <= _COLUMN:
        return "\n".join([head.ljust(_COLUMN) + lines[0], *(pad + line for line in lines[1:])])
    return "\n".join([head, *(pad + line for line in lines)])


def long_names(option: Option) -> list[str]:
    """The spellings to teach; an alias that is only kaniko's old camel case is not."""
    return [f"--{name}" for name in (option.name, *option.aliases) if name == name.lower()]


def metavar(option: Option) -> str:
    """What stands for the value in help; empty for bool flags."""
    if option.kind is Kind.BOOL:
        return ""
    return option.metavar or "|".join(option.choices) or "VALUE"


def description(option: Option) -> str:
    """The help text with the default, the repeatability and what is missing."""
    text = option.help
    if option.default and option.default != "false":
        text += f" Default: {option.default}."
    if option.kind in REPEATABLE:
        text += " Repeatable."
    if option.env:
        text += f" Environment: {option.env}."
    if option.effect is not Effect.FULL:
        text += f" [{option.effect.value}: {option.note}]"
    return text
