"""The CI system that a command runs in, as far as it changes the log."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO, TextIO

from gazami.cli.flags.argv import Flags
from gazami.cli.flags.options import CONTEXT, DOCKERFILE
from gazami.values import fast_dataclass

if TYPE_CHECKING:
    from gazami.errors import GazamiError
    from gazami.events import Emit, Event
    from gazami.report.workflow import CI, Files


_BUILDS = ("build", "submit")
"""Commands whose log has what others print."""


@fast_dataclass(frozen=True, slots=True)
class CISystem:
    """``commands`` is the stream for gazami's own commands to GitHub's runner, ``summary`` the file of the job's summary page."""

    name: CI = ""
    commands: BinaryIO | None = None
    summary: str = ""

    def annotate(self, error: GazamiError) -> None:
        """Put an error that came before there was a display beside the lines of the commit."""
        if self.commands is not None:
            from gazami.report.workflow import Files, annotation

            self.commands.write(annotation(error, Files()).encode("utf-8", "replace"))

    @contextlib.contextmanager
    def summarising(self, emit: Emit) -> Iterator[tuple[Emit, Callable[[GazamiError], None]]]:
        """What to call with each event and with the error of a build; the summary is written at the end."""
        if not self.summary:
            yield emit, lambda error: None
            return
        from gazami.report.job_summary import JobSummary

        page = JobSummary()
        errors: list[GazamiError] = []

        def noted(event: Event) -> None:
            page.note(event)
            emit(event)

        yield noted, errors.append
        with contextlib.suppress(OSError), open(self.summary, "a", encoding="utf-8", errors="replace") as file:
            file.write(page.text(errors[0] if errors else None))


@contextlib.contextmanager
def ci_around(command: str, environ: Mapping[str, str]) -> Iterator[CISystem]:
    """The system by the variables that it sets. While GitHub's runner reads the log of a build, nothing but gazami's own commands
    on standard error is a command to it."""
    if command not in _BUILDS:
        yield CISystem()
    elif environ.get("GITHUB_ACTIONS") == "true":
        from gazami.cli.workflow_commands import no_commands

        with no_commands(stdout=False) as commands:
            yield CISystem("github", commands, environ.get("GITHUB_STEP_SUMMARY", "") if command == "build" else "")
    else:
        yield CISystem("gitlab" if environ.get("GITLAB_CI") == "true" else "")


def shows_colors(environ: Mapping[str, str], stream: TextIO) -> bool:
    """Whether a log is likely to be seen in color: on a terminal, and on a CI job's page, which reads a pipe. NO_COLOR and
    FORCE_COLOR (no-color.org, force-color.org) decide otherwise, the first over the second."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0", "false"):
        return True
    if environ.get("TERM") == "dumb":
        return False
    return stream.isatty() or (bool(environ.get("CI")) and _is_pipe(stream))


def _is_pipe(stream: TextIO) -> bool:
    try:
        kind = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):  # a stream of bars, or of a test
        return True
    return not stat.S_ISREG(kind) and not stat.S_ISCHR(kind)


def annotated_files(flags: Flags, environ: Mapping[str, str]) -> Files:
    """What the Dockerfile of a build is called in the repository of the job."""
    from pathlib import Path

    from gazami.report.workflow import Files

    wanted, context = flags[DOCKERFILE], flags[CONTEXT].removeprefix("dir://")
    if flags.positionals:
        context = flags.positionals[0]
    places = (Path(wanted), Path(context) / wanted)
    path = next((place for place in places if place.is_file()), places[0]).resolve()
    root = Path(environ.get("GITHUB_WORKSPACE") or ".").resolve()
    name = str(path.relative_to(root)) if path.is_relative_to(root) else path.name
    return Files(((places[0].name, name),))
