"""The Python interface: what ``import gazami`` promises. Everything else in the package is private.

The functions take what the commands of the same names take: each keyword is a flag, and ``flags`` holds any others as words of the
command line. Credentials, proxies and the rest of the environment are looked for as the commands look for them. Errors
are :class:`GazamiError`; events come one at a time, from any thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING

from gazami.cancel import Cancel
from gazami.cli.environ import look_around, require_secret_files
from gazami.cli.flags.argv import Flags, parse, with_environment
from gazami.cli.flags.option import Table
from gazami.dockerfile.rules import Finding
from gazami.errors import Cancelled, GazamiError, UsageError
from gazami.events import Emit, Event
from gazami.values import fast_dataclass

if TYPE_CHECKING:
    from gazami.builder.request import BuildRequest

__all__ = ["Cancel", "Cancelled", "Event", "Finding", "GazamiError", "Image", "PlannedStage", "PlannedStep"]
__all__ += ["build", "dry_run", "lint", "push"]

Path = str | PathLike[str]
OnEvent = Callable[[Event], None]


@fast_dataclass(frozen=True, slots=True)
class Image:
    """A built image. ``digest`` is the manifest's, ``id`` the config's; ``manifest`` and ``config`` are their JSON documents as
    they were pushed or written, ``layers`` the digests of the layers' blobs, lowest first."""

    digest: str
    id: str
    manifest: bytes
    config: bytes
    layers: tuple[str, ...]


@fast_dataclass(frozen=True, slots=True)
class PlannedStep:
    """``line`` is the instruction's first line, ``created_by`` the text of its history entry, None where it makes none."""

    line: int
    text: str
    created_by: str | None


@fast_dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage that the target needs; ``base`` is the image, stage or ``scratch`` that it is built from."""

    number: int
    name: str
    base: str
    steps: tuple[PlannedStep, ...]


def build(
    context: Path = ".",
    *,
    tags: Sequence[str] = (),
    push: bool = True,
    dockerfile: Path | None = None,
    target: str = "",
    platform: str = "",
    build_args: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    cache_repo: str = "",
    oci_layout: Path | None = None,
    archive: Path | None = None,
    flags: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    on_event: OnEvent | None = None,
    cancel: Cancel | None = None,
) -> Image:
    """Build an image, push it to ``tags`` unless ``push`` is false, write it as an ``oci_layout`` directory or as an ``archive``
    for docker load. ``cache_repo`` turns the layer cache on. ``environ`` stands in for the process's own variables.

    Raises :class:`GazamiError`; :meth:`Cancel.set`, from any thread, ends the build with :class:`Cancelled`.
    """
    from gazami.builder.build import build as build_image

    words = _words(context, dockerfile, target, platform, build_args)
    words += [f"--destination={tag}" for tag in tags]
    words += [f"--label={name}={value}" for name, value in (labels or {}).items()]
    words += ["--cache=true", f"--cache-repo={cache_repo}"] if cache_repo else []
    words += [f"--oci-layout-path={os.fspath(oci_layout)}"] if oci_layout is not None else []
    words += [f"--tar-path={os.fspath(archive)}"] if archive is not None else []
    words += [] if push else ["--no-push"]
    emit = _one_at_a_time(on_event)
    request = _request(words, flags, environ, emit)
    require_secret_files(request.sandbox.secrets)
    finished = build_image(request, emit, cancel or Cancel()).finished
    assert finished is not None  # only a dry run has none
    manifest = finished.manifest
    layers = tuple(layer.digest for layer in manifest.layers)
    return Image(manifest.digest, manifest.config.digest, manifest.raw, finished.config, layers)


def dry_run(
    context: Path = ".",
    *,
    dockerfile: Path | None = None,
    target: str = "",
    platform: str = "",
    build_args: Mapping[str, str] | None = None,
    flags: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    on_event: OnEvent | None = None,
    cancel: Cancel | None = None,
) -> tuple[PlannedStage, ...]:
    """The stages that a build would carry out, with every variable expanded. Asks registries for manifests and configs."""
    from gazami.builder.inputs.prepared import prepared

    emit = _one_at_a_time(on_event)
    words = [*_words(context, dockerfile, target, platform, build_args), "--no-push"]
    with prepared(_request(words, flags, environ, emit), emit, cancel or Cancel()) as ready:
        return tuple(
            PlannedStage(
                stage.number,
                stage.name,
                stage.base_text,
                tuple(PlannedStep(each.span.start, each.text, each.created_by) for each in (step.common for step in stage.steps)),
            )
            for stage in ready.plan.stages
        )


def lint(
    context: Path = ".",
    *,
    dockerfile: Path | None = None,
    target: str = "",
    platform: str = "",
    build_args: Mapping[str, str] | None = None,
) -> tuple[Finding, ...]:
    """The findings of the build checks (``docker build --check``), in the order of the text. Asks no registry."""
    from gazami.cli.commands.dockerfile import read_dockerfile, request_of

    flags = _flags(_words(context, dockerfile, target, platform, build_args), {})
    request = request_of(flags, look_around({}), context=os.fspath(context), dockerfile=_dockerfile(dockerfile))
    reading = read_dockerfile(request, knows_secrets=False)
    return reading.findings(reading.source)[0]


def push(
    image: Path,
    tags: Sequence[str],
    *,
    name: str = "",
    environ: Mapping[str, str] | None = None,
    on_event: OnEvent | None = None,
    cancel: Cancel | None = None,
) -> str:
    """Push an image that exists as files: an OCI layout directory, its archive, or an archive of docker save. ``name``, or a
    digest, chooses one of several images. Returns the digest."""
    from gazami.cli.command import Execution
    from gazami.cli.commands.push import COMMAND

    environ = os.environ if environ is None else environ
    said: list[str | bytes] = []
    words = [f"{os.fspath(image)}:{name}" if name else os.fspath(image), *(f"--destination={tag}" for tag in tags)]
    task = COMMAND.start(_flags(words, environ, COMMAND.table), environ)
    assert not isinstance(task, int)
    task.work(Execution(task.around, _one_at_a_time(on_event), cancel or Cancel(), said.append))
    return str(said[0]).strip()


def _request(words: Sequence[str], flags: Sequence[str], environ: Mapping[str, str] | None, emit: Emit) -> BuildRequest:
    """Raises :class:`UsageError`, also for words in ``flags`` that would say nothing here."""
    from gazami.cli.flags.options import BUILD, CALL, CHECK, DRYRUN, IF_EXISTS, LOGGING
    from gazami.cli.request.build import build_request

    given = parse(list(flags), BUILD)
    useless = [f"--{option.name}" for option in (CALL, CHECK, DRYRUN, *LOGGING) if given.given(option)]
    useless += ["--if-exists=skip"] * (given[IF_EXISTS] == "skip")  # a build returns an image that it made
    useless += ["--help"] * given.help + list(given.positionals)
    if useless:
        hint = "call lint() or dry_run(); what a build says goes to on_event; the context is the first argument"
        raise UsageError(f"{useless[0]} has no effect in flags", hint=hint)
    environ = os.environ if environ is None else environ
    wanted = build_request(_flags([*words, *flags], environ), look_around(environ))
    for message in wanted.messages:
        emit(message)
    return wanted.request


def _words(context: Path, dockerfile: Path | None, target: str, platform: str, build_args: Mapping[str, str] | None) -> list[str]:
    words = [f"--context={os.fspath(context)}"]
    words += [f"--dockerfile={_dockerfile(dockerfile)}"] if dockerfile is not None else []
    words += [f"--target={target}"] if target else []
    words += [f"--custom-platform={platform}"] if platform else []
    return words + [f"--build-arg={name}={value}" for name, value in (build_args or {}).items()]


def _dockerfile(given: Path | None) -> str:
    return "Dockerfile" if given is None else os.fspath(given)


def _flags(words: Sequence[str], environ: Mapping[str, str], table: Table | None = None) -> Flags:
    from gazami.cli.flags.options import BUILD

    table = BUILD if table is None else table
    return with_environment(parse(list(words), table), table, environ)


def _one_at_a_time(on_event: OnEvent | None) -> Emit:
    lock = threading.Lock()

    def emit(event: Event) -> None:
        if on_event is not None:
            with lock:
                on_event(event)

    return emit
