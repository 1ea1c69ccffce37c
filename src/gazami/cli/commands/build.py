"""``gazami build``: flags → request → builder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from gazami.cli.command import Command, Execution, Task
from gazami.cli.exhaustion import places_of
from gazami.cli.flags import docker
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.option import Table
from gazami.cli.flags.options import BUILD, CALL, CHECK, ELSEWHERE, PROGRESS, QUIET, REPORT, STATE_DIR
from gazami.cli.request.docker import NOT_PUSHED, WORKSPACE, in_own_words, names_no_output, without_registry
from gazami.errors import RegistryError
from gazami.values import replace

if TYPE_CHECKING:
    from gazami.builder.build import BuildResult
    from gazami.builder.request import BuildRequest
    from gazami.builder.stages.failed_shell import Console
    from gazami.cancel import Cancel
    from gazami.cli.environ import Surroundings
    from gazami.cli.request.build import Wanted
    from gazami.events import Emit, Event

Builder: TypeAlias = "Callable[..., BuildResult]"
"""As :func:`gazami.builder.build.build`; a ``console`` is given where the build wants one."""

_BRIEF = """\
Build an image from a Dockerfile and push it.

Usage:  gazami build [CONTEXT] [flags]

  -t, --tag NAME[:TAG]     name of the image, which is pushed to it; repeatable
  -f, --file PATH          the Dockerfile; default: the context's own
      --build-arg N=VALUE  set an ARG of the Dockerfile; repeatable
      --target STAGE       build this stage instead of the last one
      --platform OS/ARCH   build for another platform
      --secret id=ID,...   a secret for RUN --mount=type=secret
  -o, --output DIR|type=…  write files, an archive or a layout instead
      --load               give the image to docker or podman instead
      --no-push            do not push
      --no-cache           reuse nothing of earlier builds
      --cache              keep the layer cache in the registry
      --dry-run            print the plan, build nothing
  -q, --quiet              print errors and the digest alone

All flags, with examples: gazami build --help
"""
"""``-h``: a screen. Its flags are those that most builds use."""

_FAILED = "error building image"
_USAGE = """\
Build an image from a Dockerfile and push it.

Usage:
  gazami build [CONTEXT] --tag NAME[:TAG] [flags]
  gazami build [CONTEXT] [flags]

CONTEXT is the directory (or URI) that COPY and ADD read from, the same as --context; default: the working directory. Without a
name the image is built and not pushed.

Examples:
  # Dockerfile and files in the working directory
  gazami build . --tag registry.example.com/app:1.0

  # another Dockerfile, a build argument, one stage of several
  gazami build . -f docker/Dockerfile --build-arg VERSION=1.0 --target app \\
    -t registry.example.com/app

  # no registry: an archive for docker load, the digest in a file
  gazami build . --no-push -t app:1.0 --tar-path app.tar --digest-file digest

  # a secret that only one RUN can see (RUN --mount=type=secret,id=token)
  gazami build . --secret id=token,env=API_TOKEN -t registry.example.com/app

  # what would be done
  gazami build . --no-push --dryrun
"""

_NOTES = """\
Credentials are those of docker login and podman login: $DOCKER_CONFIG/config.json, ~/.docker/config.json,
$REGISTRY_AUTH_FILE, containers/auth.json; DOCKER_AUTH_CONFIG wins over them.

Exit status: 0 good; the status of the RUN command that failed; 130 or 143 interrupted; 1 any other error.
"""


def build_with(builder: Builder, *, executor: bool = False) -> Command:
    """The command with a builder; tests hand in others than gazami's own. The ``executor`` has kaniko's habits, not docker's."""

    def start(flags: Flags, environ: Mapping[str, str]) -> Task | int:
        if flags[CHECK] or flags[CALL].partition(",")[0] not in ("", "build"):
            from gazami.cli.commands.call import run_call

            return run_call(flags, environ)
        from gazami.cli.environ import look_around, require_secret_files
        from gazami.cli.paths import absolute
        from gazami.cli.request.build import build_request

        around = look_around(environ)
        wanted = build_request(flags, around, own_cache="" if executor else own_cache(flags, around))
        if wanted.loads:
            wanted = _with_loader(wanted, environ)
        require_secret_files(wanted.request.sandbox.secrets)
        return Task(
            around,
            lambda run: _work(wanted, builder, run, flags),
            takes_stdout=any(export.dest == "-" for export in wanted.request.output.exports),
            places=places_of(wanted.request),
            report=absolute(flags[REPORT], around.cwd),
        )

    if executor:
        return Command(
            "build", _USAGE, BUILD, start, notes=_NOTES, failed=_FAILED, elsewhere=ELSEWHERE,
            reads_files="", raw=True,
        )  # fmt: skip
    return Command(
        "build", _USAGE, Table((*BUILD, *docker.DOCKER)), start, notes=_NOTES, brief=_BRIEF, failed=_FAILED,
        elsewhere=docker.ELSEWHERE, reads_files="project", prepare=prepared,
    )  # fmt: skip


def prepared(flags: Flags) -> Flags:
    """The flags in gazami's own words."""
    return in_own_words(flags, has_workspace=os.path.isdir(WORKSPACE))


def own_cache(flags: Flags, around: Surroundings) -> str:
    """The folder of this machine's own cache, empty where the build is to have none."""
    from gazami.builder.files.state_directory import claim
    from gazami.cli.request.cache import wants_own_cache
    from gazami.cli.request.sandbox import state_dir

    if not wants_own_cache(flags, around.environ, in_container=around.in_container):
        return ""
    return str(claim(state_dir(flags[STATE_DIR], around)) / "cache")


def _with_loader(wanted: Wanted, environ: Mapping[str, str]) -> Wanted:
    """With docker or podman, whichever works here. Raises :class:`UsageError` where there is none."""
    from gazami.cli.loader import find_loader

    output = replace(wanted.request.output, loader=find_loader(environ))
    return replace(wanted, request=replace(wanted.request, output=output))


def _work(wanted: Wanted, builder: Builder, run: Execution, flags: Flags) -> int:
    from gazami.events import BuildFinished, Message

    digests: list[str] = []
    quiet = flags[QUIET] or flags[PROGRESS] in ("quiet", "none")

    def emit(event: Event) -> None:
        if isinstance(event, BuildFinished):
            digests.append(event.digest)
        run.emit(event)

    for message in wanted.messages:
        emit(message)
    output = wanted.request.output
    try:
        result = builder(wanted.request, emit, run.cancel, **_console(wanted.request, run))
    except RegistryError as error:
        if output.push and (hint := without_registry(output.destinations)):
            error.hint = hint
        raise
    if wanted.request.dryrun and result.plan_text:
        run.say(result.plan_text.rstrip("\n") + "\n")
    elif digests and (quiet or wanted.request.cache.only):
        run.say(digests[-1] + "\n")
    elif digests and names_no_output(flags):
        emit(Message("info", NOT_PUSHED))
    return 0


def _console(request: BuildRequest, run: Execution) -> dict[str, Console | None]:
    """The terminal, for a build that wants it."""
    if request.sandbox.failed != "shell":
        return {}
    from gazami.cli.console import console

    return {"console": console(run.pause, run.around.environ.get("TERM", ""))}


def _build(request: BuildRequest, emit: Emit, cancel: Cancel, console: Console | None = None) -> BuildResult:
    from gazami.builder.build import build

    return build(request, emit, cancel, console)


COMMAND = build_with(_build)
EXECUTOR = build_with(_build, executor=True)
