"""One run of a command, whichever it is: its flags, its help, the display, signals, errors and the exit status.

An error before there is a display is plain text, since the log format may itself be what is wrong. Afterwards the display
writes it. An error that gazami raises on purpose ends with its text and its exit code; what the machine ran out of is named;
anything else is a bug of ours and says so, with the whole traceback only at ``--verbosity=debug``.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO, Literal, TextIO

from gazami.cli.ci import CISystem, annotated_files, ci_around, shows_colors
from gazami.cli.command import Command, Execution, Task, help_of
from gazami.cli.exhaustion import Places, exhausted
from gazami.cli.flags.argv import Flags, parse, with_environment
from gazami.cli.flags.options import LOG_FORMAT, LOG_TIMESTAMP, PROGRESS, QUIET, VERBOSITY
from gazami.errors import Cancelled, CommandFailed, GazamiError, UsageError

if TYPE_CHECKING:
    from gazami.cancel import Cancel
    from gazami.report.line import Format, Settings
    from gazami.report.reporter import Reporter


_RECEIVERS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Variables that ask for spans of a build."""


def supervise(command: Command, words: list[str], environ: Mapping[str, str]) -> int:
    """Do what ``words`` say, which are without the command's name; returns the exit status. Nothing but
    KeyboardInterrupt, SystemExit and a BrokenPipeError of standard output leaves this function."""
    with ci_around(command.name, environ) as ci:
        return _supervised(command, words, environ, ci)


def _supervised(command: Command, words: list[str], environ: Mapping[str, str], ci: CISystem) -> int:
    flags, places = Flags(), Places()
    try:
        flags = with_environment(parse(words, command.table, command.elsewhere), command.table, environ)
        if flags.help:
            _print([help_of(command, brief=flags.brief)])
            return 0
        if command.reads_files:
            flags = _with_files(flags, command, environ)
        if command.prepare is not None:
            flags = command.prepare(flags)
        started = command.start(flags, environ)
        if isinstance(started, int):
            return started
        places = started.places
        status, said = _worked(command, started, flags, environ, ci)
    except BrokenPipeError:
        raise
    except Exception as cause:
        from gazami.report.excerpt import failure

        error = _explained(cause, flags, places)
        text = failure(error, command.failed).text
        sys.stderr.write(f"{text}\n{_hint(command) if isinstance(error, UsageError) else ''}")
        ci.annotate(error)
        return exit_status(error, command.name)
    _print(said)
    return status


def _with_files(flags: Flags, command: Command, environ: Mapping[str, str]) -> Flags:
    """With what the user's file and the project's say. Raises :class:`UsageError`."""
    from gazami.cli.settings_files import settings_files

    files = settings_files(environ, project=command.reads_files == "project")
    if not files:
        return flags
    from gazami.cli.flags.settings import with_settings

    return with_settings(flags, command.table, files)


def _worked(command: Command, task: Task, flags: Flags, environ: Mapping[str, str], ci: CISystem) -> tuple[int, list[str | bytes]]:
    """Do the task under signals; returns the exit status and what goes to standard output."""
    from gazami.cancel import Cancel
    from gazami.report.log_streams import Streams
    from gazami.report.reporter import open_reporter

    settings = log_settings(command, flags, environ, ci)
    if task.report:
        from gazami.cli.build_report import check_place

        check_place(task.report)
    stderr = _bytes(sys.stderr)
    reporter = open_reporter(
        settings,
        Streams(stderr if task.takes_stdout else _bytes(sys.stdout), stderr, ci.commands),
        progress=_display(flags),
        terminal=sys.stderr.isatty() and environ.get("TERM", "dumb") != "dumb" and not environ.get("CI"),
    )
    cancel = Cancel()
    said: list[str | bytes] = []
    with stopped_by_signals(cancel) as signals, contextlib.ExitStack() as stack:
        emit, note_error = stack.enter_context(ci.summarising(reporter.emit))
        if task.report:
            from gazami.cli.build_report import reporting

            emit, note_error = stack.enter_context(reporting(task.report, emit, note_error))
        if command.name == "build" and any(environ.get(name) for name in _RECEIVERS):
            from gazami.cli.tracing import tracing, wants_spans

            if wants_spans(environ):
                emit, note_error = stack.enter_context(tracing(environ, emit, note_error))
        try:
            return task.work(Execution(task.around, emit, cancel, said.append, reporter.paused)), said
        except Exception as cause:
            error = _explained(cause, flags, task.places)
            note_error(error)
            reporter.close()
            status = _ended(error, command, reporter, signals)
            if isinstance(error, UsageError) and settings.format in ("text", "color"):
                sys.stderr.write(_hint(command))
            return status, []
        finally:
            reporter.close()


def _ended(error: GazamiError, command: Command, reporter: Reporter, signals: list[int]) -> int:
    """Write the error; returns the exit status."""
    if not signals:
        reporter.fail(error)
        return exit_status(error, command.name)
    if isinstance(error, Cancelled | CommandFailed):  # a terminal sends Ctrl-C to the RUN command too
        error = Cancelled(f"interrupted by {signal.Signals(signals[0]).name}")
    reporter.fail(error)
    return 128 + signals[0]


def _explained(cause: Exception, flags: Flags, places: Places) -> GazamiError:
    if isinstance(cause, GazamiError):
        return exhausted(cause, places)
    from gazami.cli.bug import as_gazami_error

    verbose = flags[VERBOSITY] in ("trace", "debug")
    return as_gazami_error(cause, verbose=verbose, places=places)


def _hint(command: Command) -> str:
    program = "executor" if command.raw else f"gazami {command.name}"
    return f"Run '{program} --help' for usage.\n"


_TROUBLE = {"diff": 2}
"""The status of an error that has none of its own, of commands whose 1 is an answer."""


def exit_status(error: GazamiError, command: str = "") -> int:
    """1 to 255: a RUN that a signal killed has a negative status, which wraps around as it does for kaniko."""
    return _TROUBLE.get(command, 1) if error.exit_code == 1 else error.exit_code & 0xFF or 1


@contextlib.contextmanager
def stopped_by_signals(cancel: Cancel) -> Iterator[list[int]]:
    """SIGINT and SIGTERM stop the build in order, a second one at once. Yields the list of signals that came.

    The switch is set in another thread: the handler may have interrupted this one while it held the switch's own lock. A
    watchdog ends what does not look at the switch.
    """
    from gazami.cli.watchdog import watched

    came: list[int] = []

    with watched() as dog:
        cancel.when_cleaning(dog.cleaning)

        def stop(number: int) -> None:
            cancel.set(f"interrupted by {signal.Signals(number).name}")
            dog.stop(number)

        def handle(number: int, frame: FrameType | None) -> None:
            if came:
                os._exit(128 + number)
            came.append(number)
            _thread.start_new_thread(stop, (number,))

        with contextlib.ExitStack() as kept:
            for number in (signal.SIGINT, signal.SIGTERM):
                with contextlib.suppress(ValueError):  # not the main thread: the owner of that thread handles signals
                    kept.callback(signal.signal, number, signal.signal(number, handle))
            yield came


def log_settings(command: Command, flags: Flags, environ: Mapping[str, str], ci: CISystem) -> Settings:
    """The form of the log: as asked, else color where it is likely to be seen as such."""
    from gazami.report.line import Settings
    from gazami.report.workflow import Files

    form: Format = asked if (asked := flags[LOG_FORMAT]) else ("color" if shows_colors(environ, sys.stderr) else "text")
    raw = flags[PROGRESS] == "raw" or (command.raw and flags[PROGRESS] == "auto")
    plain = not raw and form in ("text", "color")
    return Settings(
        verbosity=flags[VERBOSITY],
        format=form,
        timestamps=flags[LOG_TIMESTAMP],
        quiet=flags[QUIET] or flags[PROGRESS] in ("quiet", "none"),
        raw=raw,
        ci=ci.name if plain else "",
        files=annotated_files(flags, environ) if plain and ci.name else Files(),
        failed=command.failed,
    )


def _display(flags: Flags) -> Literal["auto", "plain", "raw", "tty"]:
    match flags[PROGRESS]:
        case "quiet" | "none":
            return "plain"
        case progress:
            return progress


def _print(said: list[str | bytes]) -> None:
    for text in said:
        if isinstance(text, str):
            sys.stdout.write(text)
        else:
            _bytes(sys.stdout).write(text)


def _bytes(stream: TextIO) -> BinaryIO:
    stream.flush()
    return stream.buffer
