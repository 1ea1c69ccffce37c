"""One run of ``gazami build``: flags → request → builder, with the display and the signals around it."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TextIO, cast

from gazami.cancel import Cancel
from gazami.cli.bug import as_gazami_error
from gazami.cli.environ import look_around, require_secret_files
from gazami.cli.exhaustion import exhausted, host_error, places_of
from gazami.cli.flags.argv import Parsed, parse, with_environment
from gazami.cli.flags.options import BUILD, ELSEWHERE
from gazami.cli.request import Wanted, build_request
from gazami.cli.watchdog import watched
from gazami.errors import Cancelled, CommandFailed, GazamiError, UsageError
from gazami.events import BuildFinished, Event
from gazami.report.excerpt import failure
from gazami.report.line import Format, Settings, Severity
from gazami.report.plain import Streams
from gazami.report.reporter import Reporter, open_reporter

if TYPE_CHECKING:
    from gazami.cli.main import Build


def run_build(words: list[str], environ: Mapping[str, str], build: Build | None) -> int:
    """The exit status. Nothing but KeyboardInterrupt and SystemExit leaves this function."""
    try:
        parsed = with_environment(parse(words, BUILD, ELSEWHERE), BUILD, environ)
        if parsed.help:
            return _help()
        if parsed.flag("check") or parsed.text("call").partition(",")[0] not in ("", "build"):
            from gazami.cli.commands.call import run_call

            return run_call(parsed, environ)
        around = look_around(environ)
        wanted = build_request(parsed, around)
        require_secret_files(wanted.request.sandbox.secrets)
    except GazamiError as error:
        return _usage(error)
    settings = log_settings(parsed, environ, terminal=sys.stderr.isatty())
    try:
        return _reported(parsed, environ, wanted, settings, build)
    except (GazamiError, OSError, MemoryError, RuntimeError) as error:  # before there was a display, or after it
        known = error if isinstance(error, GazamiError) else host_error(error, places_of(wanted.request))
        if known is None:
            raise
        return _usage(exhausted(known, places_of(wanted.request)))


def _reported(
    parsed: Parsed, environ: Mapping[str, str], wanted: Wanted, settings: Settings, build: Build | None
) -> int:
    """Open the display and build."""
    takes_stdout = any(export.dest == "-" for export in wanted.request.output.exports)
    reporter = open_reporter(
        settings,
        Streams(_bytes(sys.stderr if takes_stdout else sys.stdout), _bytes(sys.stderr)),
        progress=cast('Literal["auto", "plain", "tty"]', parsed.text("progress")),
        terminal=sys.stderr.isatty() and environ.get("TERM", "dumb") != "dumb" and not environ.get("CI"),
    )
    return _supervise(wanted, settings, reporter, build)


def _supervise(wanted: Wanted, settings: Settings, reporter: Reporter, build: Build | None) -> int:
    """Run the builder under signals; turn how it ends into words and a status."""
    cancel = Cancel()
    digests: list[str] = []

    def emit(event: Event) -> None:
        if isinstance(event, BuildFinished):
            digests.append(event.digest)
        reporter.emit(event)

    with stopped_by_signals(cancel) as signals:
        try:
            for message in wanted.messages:
                emit(message)
            if build is None:
                from gazami.builder.build import build as build_image

                build = build_image
            result = build(wanted.request, emit, cancel)
        except GazamiError as error:
            return _ended(exhausted(error, places_of(wanted.request)), reporter, signals)
        except Exception as error:
            verbose = settings.verbosity in ("trace", "debug")
            known = as_gazami_error(error, verbose=verbose, places=places_of(wanted.request))
            return _ended(known, reporter, signals)
        finally:
            reporter.close()
    if wanted.request.dryrun and result.plan_text:
        sys.stdout.write(result.plan_text.rstrip("\n") + "\n")
    elif settings.quiet and digests:
        sys.stdout.write(digests[-1] + "\n")
    return 0


def _ended(error: GazamiError, reporter: Reporter, signals: list[int]) -> int:
    reporter.close()
    if not signals:
        reporter.fail(error)
        return exit_status(error)
    if isinstance(error, Cancelled | CommandFailed):  # a terminal sends Ctrl-C to the RUN command too
        error = Cancelled(f"interrupted by {signal.Signals(signals[0]).name}")
    reporter.fail(error)
    return 128 + signals[0]


def exit_status(error: GazamiError) -> int:
    """1 to 255: a RUN that a signal killed has a negative status, which wraps around as it does for kaniko."""
    return error.exit_code & 0xFF or 1


@contextlib.contextmanager
def stopped_by_signals(cancel: Cancel) -> Iterator[list[int]]:
    """SIGINT and SIGTERM stop the build in order, a second one at once. Yields the list of signals that came.

    The switch is set in another thread: the handler may have interrupted this one while it held the switch's own lock. A
    watchdog ends what does not look at the switch.
    """
    came: list[int] = []

    with watched() as dog:
        cancel.when_cleaning(dog.cleaning)

        def stop(number: int) -> None:
            cancel.set(f"interrupted by {signal.Signals(number).name}")
            dog.stop(number)

        def handle(number: int, frame: Any) -> None:
            if came:
                os._exit(128 + number)
            came.append(number)
            _thread.start_new_thread(stop, (number,))

        kept: dict[signal.Signals, Any] = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                with contextlib.suppress(ValueError):  # not the main thread: the owner of that thread handles signals
                    kept[number] = signal.signal(number, handle)
            yield came
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)


def log_settings(parsed: Parsed, environ: Mapping[str, str], *, terminal: bool) -> Settings:
    """The form of the log: as asked, else color where it is likely to be seen as such (a terminal, a CI job's page)."""
    form = parsed.text("log-format")
    if not form:
        form = "color" if (terminal or environ.get("CI")) and not environ.get("NO_COLOR") else "text"
    return Settings(
        verbosity=cast(Severity, parsed.text("verbosity")),
        format=cast(Format, form),
        timestamps=parsed.flag("log-timestamp"),
        quiet=parsed.flag("quiet"),
    )


def _help() -> int:
    import shutil

    from gazami.cli.flags.help import build_help

    sys.stdout.write(build_help(BUILD, shutil.get_terminal_size((100, 24)).columns))
    return 0


def _usage(error: GazamiError) -> int:
    """An error before there is a display; the log format may itself be what is wrong, so this is always plain text."""
    text = failure(error).text
    if isinstance(error, UsageError):
        text += "\nRun 'gazami build --help' for usage."
    sys.stderr.write(f"{text}\n")
    return exit_status(error)


def _bytes(stream: TextIO) -> BinaryIO:
    stream.flush()
    return stream.buffer
