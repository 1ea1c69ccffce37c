"""``gazami build``: flags → request → builder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from gazami.cli.command import Command, Execution, Task
from gazami.cli.exhaustion import places_of
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.options import BUILD, CALL, CHECK, ELSEWHERE, QUIET

if TYPE_CHECKING:
    from gazami.builder.build import BuildResult
    from gazami.builder.request import BuildRequest
    from gazami.cancel import Cancel
    from gazami.cli.request.build import Wanted
    from gazami.events import Emit, Event

Builder: TypeAlias = "Callable[[BuildRequest, Emit, Cancel], BuildResult]"

_USAGE = """\
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

_NOTES = """\
Credentials are those of docker login and podman login: $DOCKER_CONFIG/config.json, ~/.docker/config.json,
$REGISTRY_AUTH_FILE, containers/auth.json; DOCKER_AUTH_CONFIG wins over them.

Exit status: 0 good; the status of the RUN command that failed; 130 or 143 interrupted; 1 any other error.
"""


def build_with(builder: Builder) -> Command:
    """The command with a builder; tests hand in others than gazami's own."""

    def start(flags: Flags, environ: Mapping[str, str]) -> Task | int:
        if flags[CHECK] or flags[CALL].partition(",")[0] not in ("", "build"):
            from gazami.cli.commands.call import run_call

            return run_call(flags, environ)
        from gazami.cli.environ import look_around, require_secret_files
        from gazami.cli.request.build import build_request

        around = look_around(environ)
        wanted = build_request(flags, around)
        require_secret_files(wanted.request.sandbox.secrets)
        return Task(
            around,
            lambda run: _work(wanted, builder, run, quiet=flags[QUIET]),
            takes_stdout=any(export.dest == "-" for export in wanted.request.output.exports),
            places=places_of(wanted.request),
        )

    return Command("build", _USAGE, BUILD, start, notes=_NOTES, failed="error building image", grouped=True, elsewhere=ELSEWHERE)


def _work(wanted: Wanted, builder: Builder, run: Execution, *, quiet: bool) -> int:
    from gazami.events import BuildFinished

    digests: list[str] = []

    def emit(event: Event) -> None:
        if isinstance(event, BuildFinished):
            digests.append(event.digest)
        run.emit(event)

    for message in wanted.messages:
        emit(message)
    result = builder(wanted.request, emit, run.cancel)
    if wanted.request.dryrun and result.plan_text:
        run.say(result.plan_text.rstrip("\n") + "\n")
    elif (quiet or wanted.request.cache.only) and digests:
        run.say(digests[-1] + "\n")
    return 0


def _build(request: BuildRequest, emit: Emit, cancel: Cancel) -> BuildResult:
    from gazami.builder.build import build

    return build(request, emit, cancel)


COMMAND = build_with(_build)
